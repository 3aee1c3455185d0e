"""Tile encoder of the size ViT-L/16.

Paper   as gigapath_tile; DINOv2's short recipe, which the defaults are, was made for this size.
Input   slides; or, with tiles=DIR, tiles as images or in .zip or .tar files.
Cost    303.4 M parameters; 1.16 TFLOP a tile, stochastic depth counted.
Expect  as gigapath_tile: on the sample that everything runs, with the sample's smaller network.
Run     python tools/train.py registry_configs/tile_vit_large.py
        torchrun --nproc-per-node 8 tools/train.py tile_vit_large --set cohort=slides.csv
"""

_base_ = ["gigapath_tile.py"]

model = dict(encoder=dict(width=1024, depth=24, heads=16, ffn="mlp", mlp_ratio=4.0, drop_path=0.3))
train_dataloader = dict(batch_size=64)
# the root rule, for 8 devices
optim_wrapper = dict(optimizer=dict(lr=4e-3 * (512 / 1024) ** 0.5))
