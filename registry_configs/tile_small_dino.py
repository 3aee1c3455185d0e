"""Tile encoder for small data and CPUs: six blocks of 192 at 112 px, DINO + iBOT + KoLeo.

Paper   the objective of gigapath_tile with settings for a thousand tiles and batches of 64: fewer
        prototypes, Sinkhorn-Knopp, a colder and quicker teacher, no LayerScale.
        docs/tile_pretraining.md says what each is for.
Input   stored tiles of 224 px and more, --set tiles=DIR; or slides.
Cost    3.0 M parameters, 2.7 GFLOP a tile: 2,200 steps of 64 tiles are 0.38 PFLOP, 70 minutes
        of a core.
Expect  docs/tile_pretraining.md has what a linear probe reaches, beside colour and texture.
Run     gigakit train tile_small_dino --set tiles=DIR
        gigakit train tile_small_dino --set tiles=DIR --set "labelled=dict(root='DIR', table='labels.csv')"
"""

_base_ = ["gigapath_tile.py"]

model = dict(
    encoder=dict(
        image_size=112,
        patch_size=16,
        width=192,
        depth=6,
        heads=3,
        ffn="mlp",
        mlp_ratio=4.0,
        layer_scale=None,
        drop_path=0.0,
    ),
    head=dict(prototypes=256, hidden=256, bottleneck=64),
    targets=dict(type="SinkhornKnopp"),
    data_preprocessor=dict(
        photometric=[
            dict(type="ColorJitter", brightness=0.25, contrast=0.25, saturation=0.25, hue=0.05, p=0.8),
            dict(type="RandomGrey", p=0.0),
            dict(type="GaussianBlur", p=0.3),
            dict(type="Solarize", p=0.0),  # off, as grey; axes turn it on
        ]
    ),
)
train_dataloader = dict(
    batch_size=64,
    dataset=dict(
        views=dict(
            global_px=112,
            global_scale=(0.12, 0.4),  # at 112 px of tiles of 224 to 256 px cells keep their size
            local_px=48,
            local_count=2,
            local_scale=(0.03, 0.12),
            vertical_flip=0.5,
            right_angles=0.75,
            resize="fast",
        )
    ),
)
val_dataloader = dict(dataset=dict(transform=dict(size_px=224)))
train_cfg = dict(epochs=22, steps_per_epoch=100)
optim_wrapper = dict(
    optimizer=dict(lr=1.5e-3),
    paramwise_cfg=dict(layer_decay=1.0, patch_embed_lr=1.0),
    precision="bf16",
)
param_scheduler = [
    dict(type="CosineSchedule", final=1e-6, warmup_epochs=0.5, last_layer_frozen_epochs=0),
    dict(type="CosineSchedule", key="weight_decay", final=0.1),
]
custom_hooks = [
    dict(type="FastMatmulHook"),
    dict(type="ObjectiveScheduleHook", key="momentum", base=0.98, final=1.0),
    dict(type="ObjectiveScheduleHook", key="teacher_temperature", base=0.03),
    dict(type="LossSpikeHook", window_steps=200),
    dict(type="CollapseHook", interval_steps=100),
    dict(type="ViewPictureHook"),
    dict(type="FeaturePictureHook", tiles=6),
    dict(type="KeepMemoryHook"),
]
sample = {"_delete_": True, "train_cfg.epochs": 1, "train_cfg.steps_per_epoch": 40, "train_dataloader.batch_size": 32}
