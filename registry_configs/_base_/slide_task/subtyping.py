"""The paper's settings of subtyping tasks: base rate 4e-3, weight decay 1e-3, layer decay 0.9.

Prov-GigaPath, Methods; 20 epochs, 10 folds. Its shortcut from the encoder's input is taken as an
early layer beside the late one, as the released code allows ("5-11"). What it leaves open is as in
the released code.
"""

_base_ = ["fine_tuning.py"]

model = dict(aggregator=dict(layers=[5, 11]))
train_cfg = dict(epochs=20)
optim_wrapper = dict(
    optimizer=dict(lr=4e-3 * 32 / 256, weight_decay=1e-3), paramwise_cfg=dict(layer_decay=0.9)
)
