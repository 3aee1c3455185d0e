"""A linear layer on the frozen slide encoder: what its embeddings are worth as they are.

Paper   Prov-GigaPath compares frozen and tuned encoders; its settings are not stated. The published cls
        token was not trained in pretraining, so the mean over tiles is taken; of the last three
        blocks and one in the middle.
Input   features; a CSV with slide_id, patient_id, split and label columns, named by target.columns;
        --init-from the encoder's weights.
Cost    one forward pass a slide and epoch; gigakit embed --slide keeps embeddings for many probes.
Expect  without --init-from: what a random encoder gives, a control.
Run     gigakit train tasks/linear_probe --set features=DIR --set labels=labels.csv
        --set "target.columns=['subtype']" --init-from FILE
"""

_base_ = ["../_base_/slide_task/fine_tuning.py"]

model = dict(aggregator=dict(frozen=True, pooling="mean", layers=[6, 10, 11, 12]))
train_cfg = dict(epochs=20, carry_leftovers=False)
optim_wrapper = dict(optimizer=dict(lr=1e-3, weight_decay=0.01), accumulative_counts=8)
