"""The PANDA recipe in small, for tests and first steps: seconds on a CPU.

Paper   as tasks/panda, with a narrower and shallower encoder and small windows.
Input   --set features=DIR --set labels=labels.csv; --set "target.columns=['COLUMN']".
Cost    under 0.1 M parameters, seconds for some tens of small slides.
Expect  that everything runs.
Run     gigakit train tiny/slide_task --set features=DIR --set labels=labels.csv
"""

_base_ = ["../tasks/panda.py"]

target = dict(columns=["label"], kind=None)
model = dict(
    aggregator=dict(encoder=dict(width=32, depth=2, heads=4), layers=[1, 2]),
)
train_cfg = dict(epochs=2)
optim_wrapper = dict(accumulative_counts=4, optimizer=dict(lr=1e-3))
ablation = dict(layers=dict(cells=dict(last=[2], published=[1], early=[0, 1], all=[1, 2])))
