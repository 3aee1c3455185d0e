"""Tile encoder by DINOv2's long recipe: what its own ViT-g was trained with, and safer for one.

Paper   DINOv2 (Oquab et al. 2024) and its released configuration of ViT-g: base lr 2e-4 instead of
        GigaPath's 4e-3, no layer decay, heads of their own for class tokens and patches, 131,072
        prototypes, Sinkhorn-Knopp, drop path 0.4, teacher momentum from 0.994. Patches of 16 px and
        the batch of 384 tiles are GigaPath's; DINOv2's own batches were eight times as large.
Input   slides; or, with tiles=DIR, tiles as images or in .zip or .tar files.
Cost    1,135 M parameters of the encoder; 3.8 TFLOP a tile; 625,000 steps, 240 million tiles.
Expect  not trained here; on the sample, as gigapath_tile, that everything runs.
Run     python tools/train.py registry_configs/dinov2_tile_long.py
        torchrun --nproc-per-node 8 tools/train.py dinov2_tile_long --set cohort=slides.csv
"""

_base_ = ["gigapath_tile.py"]

_head = dict(type="DinoHead", prototypes=131_072, hidden=2048, bottleneck=384, layers=3)

model = dict(
    encoder=dict(drop_path=0.4),
    head=_head,
    patch_head=dict(**_head, _delete_=True),
    targets=dict(type="SinkhornKnopp"),
)
train_cfg = dict(epochs=500)
optim_wrapper = dict(
    optimizer=dict(lr=2e-4 * (384 / 1024) ** 0.5), paramwise_cfg=dict(layer_decay=1.0)
)
param_scheduler = [
    dict(type="CosineSchedule", final=1e-6, warmup_epochs=80, last_layer_frozen_epochs=1),
    dict(type="CosineSchedule", key="weight_decay", final=0.2),
]
custom_hooks = [
    dict(type="FastMatmulHook"),
    dict(type="ObjectiveScheduleHook", key="momentum", base=0.994, final=1.0),
    dict(
        type="ObjectiveScheduleHook",
        key="teacher_temperature",
        base=0.07,
        warmup_epochs=30,
        warmup_start=0.04,
        epochs=30,
    ),
    dict(type="LossSpikeHook", window_steps=200),
    dict(type="CollapseHook", interval_steps=100),
    dict(type="ViewPictureHook"),
    dict(type="FeaturePictureHook", tiles=6),
    dict(type="KeepMemoryHook"),
]
sample = {
    "model.patch_head.prototypes": 1024,
    "model.patch_head.hidden": 512,
    "model.patch_head.bottleneck": 128,
}
ablation = dict(patch_head=dict(cells=dict(own=dict(prototypes=131_072, bottleneck=384))))
