"""Do tiles overlap, or leave the grid? In small.

Paper   as ablations/overlap, with the network of tiny/slide.
Input   the sample slide.
Cost    seconds a cell.
Expect  that every cell runs; nothing is learned.
Run     gigakit ablate tiny/ablations/overlap
"""

_base_ = ["../../ablations/overlap.py"]

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
ablate = dict(seeds=1)
