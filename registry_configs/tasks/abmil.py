"""Attention over tiles without a slide encoder: any labels, any tile encoder.

Paper   Ilse et al. 2018, gated; the baseline that the paper's slide encoder is compared with. Optimiser
        and sizes are those of common practice (CLAM's: 512, Adam's rate 2e-4, weight decay 1e-5).
Input   features of any tile encoder; a CSV with slide_id, patient_id, split and label columns, named by
        target.columns: classes, several 0 / 1 columns, a number, or time and event.
Cost    under 1 M parameters.
Expect  on musk1 an accuracy of 0.875 (0.810 to 0.935), see docs/slide_tasks.md.
Run     gigakit train tasks/abmil --set features=DIR --set labels=labels.csv
        --set "target.columns=['subtype']"
"""

_base_ = [
    "../_base_/data/slide_bags.py",
    "../_base_/schedule/slide_fine_tuning.py",
    "../_base_/runtime/slide_task.py",
]

model = dict(
    type="SlidePrediction",
    aggregator=dict(type="AttentionMil", widths=[512], attention_width=256, gated=True, dropout=0.25),
    head=dict(type="LinearHead"),
)
train_dataloader = dict(dataset=dict(shuffle_tiles=False))
train_cfg = dict(epochs=20, carry_leftovers=False)
optim_wrapper = dict(
    accumulative_counts=1,
    optimizer=dict(lr=2e-4, weight_decay=1e-5),
    paramwise_cfg=dict(layer_decay=1.0),
)

ablation = dict(
    aggregator=dict(
        key="model.aggregator",
        cells=dict(
            gated=dict(type="AttentionMil", gated=True),
            abmil=dict(type="AttentionMil"),
            transmil=dict(type="TransMil"),
            mean=dict(type="MeanPooling"),
            max=dict(type="MaxPooling"),
        ),
    ),
    head=dict(
        key="model.head",
        cells=dict(linear=dict(type="LinearHead"), mlp=dict(type="MlpHead")),
    ),
    dropout=dict(key="model.aggregator.dropout", values=[0.0, 0.25, 0.5]),
)
