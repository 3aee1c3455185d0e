"""Tile encoder of the size ViT-S/16.

Paper   as gigapath_tile; DINOv2 has no recipe of this size from scratch: base lr 2e-3 is
        that of a pathology fork (clemsgrs/dinov2).
Input   slides; or, with tiles=DIR, tiles as images or in .zip or .tar files.
Cost    21.7 M parameters; 0.10 TFLOP a tile, stochastic depth counted.
Expect  as gigapath_tile: on the sample that everything runs, with the sample's smaller network.
Run     python tools/train.py registry_configs/tile_vit_small.py
        torchrun --nproc-per-node 8 tools/train.py tile_vit_small --set cohort=slides.csv
"""

_base_ = ["gigapath_tile.py"]

model = dict(encoder=dict(width=384, depth=12, heads=6, ffn="mlp", mlp_ratio=4.0, drop_path=0.3))
train_dataloader = dict(batch_size=64)
# the root rule, for 8 devices
optim_wrapper = dict(optimizer=dict(lr=2e-3 * (512 / 1024) ** 0.5))
