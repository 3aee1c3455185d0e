"""Tile encoder: a vision transformer pretrained with DINO + iBOT + KoLeo on 256-px tiles.

Paper   Prov-GigaPath (Nature 2024), Methods, "Tile-level pretraining": ViT-g/16, crops of 224 px,
        base lr 4e-3, 12 tiles a device, 384 in all, else DINOv2's defaults. Its configuration was
        not published; docs/tile_pretraining.md says what is read into it, and what is safer.
Input   slides; or, with tiles=DIR, tiles as images or in .zip or .tar files.
Cost    1,135 M parameters; 3.8 TFLOP a tile, 5.3e21 for one pass over the paper's 1.38 billion
        tiles. On the sample a ViT-Ti/16 of 5.5 M at smaller crops, 60 steps, two minutes on a core.
Expect  on the sample that everything runs; one small slide teaches nothing of use.
Run     python tools/train.py registry_configs/gigapath_tile.py
        torchrun --nproc-per-node 8 tools/train.py gigapath_tile --set cohort=slides.csv
"""

_base_ = [
    "_base_/data/tile_views.py",
    "_base_/tile_encoder/vit_giant.py",
    "_base_/schedule/tile_pretraining.py",
    "_base_/runtime/tile.py",
    "_base_/ablation/tile_pretraining.py",
]

model = dict(
    type="SelfDistillation",
    encoder=dict(drop_path=0.3),  # DINOv2's default; 0.4 in its recipe of the same size
    head=dict(type="DinoHead", prototypes=65_536, hidden=2048, bottleneck=256, layers=3),
    patch_head=None,  # shared; DINOv2's long recipe has a head of its own for patches
    targets=dict(type="Centering"),  # or SinkhornKnopp, as in the long recipe
    losses=[
        dict(type="DinoLoss", weight=1.0),
        dict(type="IbotLoss", weight=1.0),
        dict(type="KoLeoLoss", weight=0.1),
    ],
    data_preprocessor=dict(
        type="TileViews",
        non_blocking=True,  # from pinned memory, which a GPU's batches lie in
        photometric=[  # as intended; DINOv2 as released blurs with p=[0.0, 0.9, 0.5]
            dict(type="ColorJitter", brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, p=0.8),
            dict(type="RandomGrey", p=0.2),
            dict(type="GaussianBlur", p=[1.0, 0.1, 0.5]),
            dict(type="Solarize", p=[0.0, 0.2, 0.0]),
        ],
    ),
)

# one small slide: the smallest encoder, half the crops' sides, few prototypes, a short schedule
sample = {
    "model.encoder.image_size": 112,
    "model.encoder.width": 192,
    "model.encoder.depth": 12,
    "model.encoder.heads": 3,
    "model.encoder.ffn": "mlp",
    "model.encoder.mlp_ratio": 4.0,
    "model.encoder.drop_path": 0.0,
    "model.head.prototypes": 1024,
    "model.head.hidden": 512,
    "model.head.bottleneck": 128,
    "train_dataloader.batch_size": 16,
    "train_dataloader.dataset.views.global_px": 112,
    "train_dataloader.dataset.views.local_px": 48,
    "train_cfg.epochs": 6,
    "train_cfg.steps_per_epoch": 10,
    "optim_wrapper.optimizer.lr": 5e-4,
    "param_scheduler.0.warmup_epochs": 1,
    "custom_hooks.2.warmup_epochs": 2,
    "custom_hooks.2.epochs": 2,
}
