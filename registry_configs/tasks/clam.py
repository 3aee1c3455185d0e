"""CLAM: attention over tiles whose extremes are told apart, for classes.

Paper   Lu et al. 2021, the small model, one attention for all classes, weight 0.3 of the tiles' loss,
        8 tiles a side, Adam's rate 2e-4, weight decay 1e-5, early stopping after 20 epochs without a
        better validation (there not before epoch 50), at most 200 epochs.
Input   as tasks/abmil; classes alone.
Cost    under 1 M parameters.
Expect  the paper's numbers are of its own encoder and cohorts; not measured here.
Run     gigakit train tasks/clam --set features=DIR --set labels=labels.csv
        --set "target.columns=['subtype']"
"""

_base_ = ["abmil.py"]

target = dict(kind="classification")
model = dict(aggregator=dict(_delete_=True, type="Clam", branches="single"))
train_cfg = dict(epochs=200)
param_scheduler = None
default_hooks = dict(
    best=dict(
        _delete_=True, type="BestWeightsHook", metric="slides/cross_entropy", better="less"
    ),
    early_stop=dict(
        _delete_=True,
        type="EarlyStopHook",
        metric="slides/cross_entropy",
        better="less",
        patience=20,
    ),
)
ablation = dict(
    aggregator=dict(
        cells=dict(clam=dict(type="Clam"), clam_mb=dict(type="Clam", branches="multi"))
    )
)
