"""Which objective for the tile encoder? In small.

Paper   as ablations/tile_objective, with a network of one block and two steps.
Input   the sample slide, or --set tiles=DIR.
Cost    seconds a cell.
Expect  that every cell runs; nothing is learned.
Run     gigakit ablate tiny/ablations/tile_objective
"""

_base_ = ["../../ablations/tile_objective.py"]

model = dict(
    encoder=dict(image_size=64, width=32, depth=1, heads=2),
    head=dict(prototypes=64, hidden=32, bottleneck=16),
)
train_dataloader = dict(batch_size=4, dataset=dict(views=dict(global_px=64, local_px=32, local_count=2)))
val_dataloader = dict(dataset=dict(transform=dict(size_px=64)))
train_cfg = dict(max_steps=2)
ablate = dict(seeds=1)
