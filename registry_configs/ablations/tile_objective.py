"""Which objective for the tile encoder? DINO, iBOT, KoLeo, MAE, SimCLR, texture, at equal FLOPs.

Paper   Prov-GigaPath's own comparison: DINOv2, SimCLR, MAE. Here small enough for a CPU: a ViT of
        four blocks of 128, views of 112 px that keep the size of cells.
Input   stored tiles, --set tiles=DIR, and labelled ones to score on, --set labelled=...
Cost    6 TFLOP a run, two to seven CPU minutes; 21 runs.
Expect  docs/tile_pretraining.md has the table on EBHI-Seg.
Run     gigakit ablate ablations/tile_objective --set tiles=DIR \\
            --set "labelled=dict(root='DIR', table='labels.csv')"
"""

_base_ = ["../gigapath_tile.py"]

model = dict(
    encoder=dict(
        image_size=112,
        patch_size=16,
        width=128,
        depth=4,
        heads=4,
        ffn="mlp",
        mlp_ratio=4.0,
        drop_path=0.0,
        layer_scale=None,  # with 1e-5 DINO does not begin in its hundred steps
    ),
    head=dict(prototypes=256, hidden=256, bottleneck=64),
    targets=dict(type="SinkhornKnopp"),
    data_preprocessor=dict(
        photometric=[
            dict(type="ColorJitter", brightness=0.25, contrast=0.25, saturation=0.25, hue=0.05, p=0.8),
            dict(type="GaussianBlur", p=0.3),
        ]
    ),
)
train_dataloader = dict(
    batch_size=64,
    dataset=dict(
        views=dict(
            global_px=112,
            global_scale=(0.12, 0.4),  # of a tile of 224 to 256 px: cells keep their size
            local_px=48,
            local_count=4,
            local_scale=(0.03, 0.12),
            vertical_flip=0.5,
            right_angles=0.75,
            resize="fast",
        )
    ),
)
train_cfg = dict(epochs=4, steps_per_epoch=25, val_interval_steps=50)
optim_wrapper = dict(
    optimizer=dict(lr=1.5e-3),
    paramwise_cfg=dict(layer_decay=1.0, patch_embed_lr=1.0),
    precision="bf16",
)
param_scheduler = [
    dict(type="CosineSchedule", final=1e-6, warmup_epochs=1, last_layer_frozen_epochs=0),
    dict(type="CosineSchedule", key="weight_decay", final=0.1),
]
custom_hooks = [
    dict(type="FastMatmulHook"),
    dict(type="ObjectiveScheduleHook", key="momentum", base=0.98, final=1.0),
    dict(type="ObjectiveScheduleHook", key="teacher_temperature", base=0.04),
    dict(type="LossSpikeHook", window_steps=200),
    dict(type="CollapseHook", interval_steps=100),
    dict(type="ViewPictureHook"),
    dict(type="KeepMemoryHook"),
]
val_dataloader = dict(dataset=dict(transform=dict(size_px=224)))
sample = {"_delete_": True}

_dino = dict(type="DinoLoss")
_ibot = dict(type="IbotLoss")
_without_masks = {"model.patch_head": None, "train_dataloader.collate_fn.masking": None}
_without_teacher = {
    "train_dataloader.collate_fn.masking": None,
    "optim_wrapper.clip_grad.parts": [],
    "optim_wrapper.paramwise_cfg.layer_decay_in": ["encoder"],
    "custom_hooks": [
        dict(type="FastMatmulHook"),
        dict(type="LossSpikeHook", window_steps=200),
        dict(type="CollapseHook", interval_steps=100),
        dict(type="ViewPictureHook"),
        dict(type="KeepMemoryHook"),
    ],
}
_patterns = {
    "model": dict(
        _keep_=["encoder"],
        type="PatternPrediction",
        data_preprocessor=dict(type="TileViews", photometric=[]),
    ),
    "train_dataloader.dataset.views.global_count": 1,
    "train_dataloader.dataset.views.local_count": 0,
} | _without_teacher
# epochs of 25 steps: as many FLOPs in each cell
ablation = dict(
    _delete_=True,
    objective=dict(
        sets=dict(
            dino={"model.losses": [_dino], "train_cfg.epochs": 4} | _without_masks,
            dino_ibot={"model.losses": [_dino, _ibot], "train_cfg.epochs": 4},
            dino_ibot_koleo={"train_cfg.epochs": 4},
            simclr={
                "model": dict(
                    _keep_=["encoder", "data_preprocessor"],
                    type="ContrastiveLearning",
                    projector=dict(type="ProjectionMlp", output_dim=128, hidden=512),
                    loss=dict(type="SimClrLoss", temperature=0.2),
                ),
                "train_dataloader.dataset.views.local_count": 0,
                "train_cfg.epochs": 7,
            }
            | _without_teacher,
            mae={
                "model": dict(
                    _keep_=["encoder"],
                    type="ImageMaskedAutoencoder",
                    decoder=dict(type="PatchDecoder", width=64, depth=2, heads=2),
                    data_preprocessor=dict(type="TileViews", photometric=[]),
                ),
                "train_dataloader.dataset.views.global_count": 1,
                "train_dataloader.dataset.views.local_count": 0,
                "train_cfg.epochs": 30,
            }
            | _without_teacher
            | {
                "optim_wrapper.paramwise_cfg": dict(rule="mae", layer_decay=1.0, patch_embed_lr=1.0)
            },
            patterns=_patterns | {"train_cfg.epochs": 11},
            patterns_convolutional=_patterns
            | {"model.encoder.stem": "convolutional", "train_cfg.epochs": 9},
        )
    ),
)
ablation_sample = {"_delete_": True}
ablate = dict(axes=dict(objective=None), seeds=3)
