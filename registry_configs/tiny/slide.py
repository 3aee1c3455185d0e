"""The slide recipe in small, for tests and first steps: seconds on a CPU.

Paper   as gigapath_slide, with a narrower and shallower encoder and decoder.
Input   the sample slide, or --set features=DIR.
Cost    about 0.3 M parameters, 20 steps, a few seconds.
Expect  that everything runs; nothing is learned in 20 steps.
Run     python tools/train.py registry_configs/tiny/slide.py
"""

_base_ = ["../gigapath_slide.py"]

model = dict(
    encoder=dict(width=64, depth=2, heads=4, dropout=0.0, drop_path=0.0),
    decoder=dict(width=64, depth=1, heads=4),
)
train_cfg = dict(epochs=2, max_steps=20)
sample = {
    "_delete_": True,
    "train_dataloader.dataset.views_per_slide": 40,
    "val_dataloader.dataset.views_per_slide": 2,
}
