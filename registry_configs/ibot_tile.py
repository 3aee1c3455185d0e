"""Tile encoder: a small vision transformer pretrained with the original iBOT on 256-px tiles.

Paper   iBOT (Zhou et al. 2022), ViT-S/16: class tokens and masked patches by one head with 8,192
        prototypes, 2 global and 10 local crops, 1,024 images a step. Differs from gigapath_tile in
        nearly every value: see the comments. Its temperature of patches rises epoch by epoch, here
        step by step. Its length is left at gigapath_tile's, for comparison.
Input   slides; or, with tiles=DIR, tiles as images or in .zip or .tar files.
Cost    21.7 M parameters; about 130 GFLOP a tile. On the sample a ViT-Ti/16 as in gigapath_tile.
Expect  on the sample that everything runs; one small slide teaches nothing of use.
Run     python tools/train.py registry_configs/ibot_tile.py
        torchrun --nproc-per-node 8 tools/train.py ibot_tile --set cohort=slides.csv
"""

_base_ = ["_base_/data/tile_views.py", "_base_/tile_encoder/vit_small.py", "_base_/runtime/tile.py"]

model = dict(
    type="SelfDistillation",
    encoder=dict(
        layer_scale=None, drop_path=0.1, drop_path_shape="linear", drop_path_mode="sample"
    ),
    head=dict(
        type="DinoHead",
        prototypes=8192,
        hidden=2048,
        bottleneck=256,
        layers=3,
        last_layer="weight_norm_frozen",
        patch_prototypes=None,  # shared; a number splits the last layer
    ),
    targets=dict(type="Centering"),
    patch_population="all",  # the center of patches follows all of them, so the head sees all
    losses=[dict(type="DinoLoss", weight=1.0), dict(type="IbotLoss", weight=1.0)],
    teacher_temperature=0.04,  # of class tokens: constant
    data_preprocessor=dict(
        type="TileViews",
        non_blocking=True,  # from pinned memory, which a GPU's batches lie in
        photometric=[
            dict(type="ColorJitter", brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, p=0.8),
            dict(type="RandomGrey", p=0.2),
            dict(type="GaussianBlur", p=[1.0, 0.1, 0.5]),
            dict(type="Solarize", p=[0.0, 0.2, 0.0]),
        ],
    ),
)
train_dataloader = dict(
    batch_size=64,  # of each of 16 devices
    collate_fn=dict(
        # a crop has no mask, or one of 0.3 ± 0.2 of its patches, whatever the others have
        masking=dict(type="BlockMasks", per_image=True, probability=0.5, ratio=[0.1, 0.5], min_patches=16)
    ),
    dataset=dict(
        views=dict(global_scale=[0.25, 1.0], local_scale=[0.05, 0.25], local_count=10),
    ),
)

train_cfg = dict(type="PretrainLoop", epochs=100, steps_per_epoch=1250)
optim_wrapper = dict(
    type="GuardedOptimWrapper",
    constructor="GroupedOptimWrapperConstructor",
    optimizer=dict(type="AdamW", lr=5e-4 * 1024 / 256, betas=(0.9, 0.999), weight_decay=0.04),
    paramwise_cfg=dict(rule="gigapath"),  # matrices and tokens decay, vectors do not
    clip_grad=dict(max_norm=3.0, each=True),
)
param_scheduler = [
    dict(
        type="CosineSchedule",
        final=1e-6,
        warmup_epochs=10,
        last_layer_frozen_epochs=1,
        last_layer_frozen_by="gradient",
    ),
    dict(type="CosineSchedule", key="weight_decay", final=0.4),
]
custom_hooks = [
    dict(type="FastMatmulHook"),
    dict(type="ObjectiveScheduleHook", key="momentum", base=0.996, final=1.0),
    dict(
        type="ObjectiveScheduleHook",
        key="patch_teacher_temperature",
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

# one small slide: the smallest encoder, half the crops' sides, few prototypes, a short schedule
sample = {
    "model.encoder.image_size": 112,
    "model.encoder.width": 192,
    "model.encoder.heads": 3,
    "model.encoder.drop_path": 0.0,
    "model.head.prototypes": 1024,
    "model.head.hidden": 512,
    "model.head.bottleneck": 128,
    "train_dataloader.batch_size": 16,
    "train_dataloader.collate_fn.masking.min_patches": 4,  # (7 // 3)² of 7 x 7 patches
    "train_dataloader.dataset.views.global_px": 112,
    "train_dataloader.dataset.views.local_px": 48,
    "train_cfg.epochs": 6,
    "train_cfg.steps_per_epoch": 10,
    "optim_wrapper.optimizer.lr": 5e-4,
    "param_scheduler.0.warmup_epochs": 1,
    "custom_hooks.2.warmup_epochs": 2,
    "custom_hooks.2.epochs": 2,
}
