"""Tile encoder for small data and CPUs: six blocks of 192 at 112 px, pretrained with SimCLR.

Paper   SimCLR (Chen et al. 2020), the contrastive baseline of Prov-GigaPath's own comparison; AdamW
        and weak colours for tissue instead of LARS and strong ones; crops that keep the size of
        cells, as in Virchow2 (Zimmermann et al. 2024).
Input   stored tiles of 224 px and more, --set tiles=DIR; or slides.
Cost    3.0 M parameters, 1.7 GFLOP a tile: 3,800 steps of 64 tiles are 0.4 PFLOP, an hour on a
        core.
Expect  docs/tile_pretraining.md has what a linear probe reaches, beside colour and texture.
Run     gigakit train tile_small_simclr --set tiles=DIR
        gigakit train tile_small_simclr --set tiles=DIR --set "labelled=dict(root='DIR', table='labels.csv')"
"""

_base_ = ["gigapath_tile.py"]

model = dict(
    _delete_=True,
    type="ContrastiveLearning",
    encoder=dict(
        type="VisionTransformer", image_size=112, patch_size=16, width=192, depth=6, heads=3
    ),
    projector=dict(type="ProjectionMlp", output_dim=128, hidden=512),
    loss=dict(type="SimClrLoss", temperature=0.2),
    data_preprocessor=dict(
        type="TileViews",
        photometric=[
            dict(type="ColorJitter", brightness=0.25, contrast=0.25, saturation=0.25, hue=0.05, p=0.8),
            dict(type="RandomGrey", p=0.05),
            dict(type="GaussianBlur", p=0.3),
        ],
    ),
)
train_dataloader = dict(
    batch_size=64,
    collate_fn=dict(masking=None),
    dataset=dict(
        views=dict(
            global_px=112,
            global_scale=(0.12, 0.4),  # at 112 px of tiles of 224 to 256 px cells keep their size
            local_count=0,
            vertical_flip=0.5,
            right_angles=0.75,
            resize="fast",
        )
    ),
)
val_dataloader = dict(dataset=dict(transform=dict(size_px=224)))
train_cfg = dict(epochs=38, steps_per_epoch=100)
optim_wrapper = dict(
    optimizer=dict(lr=1.5e-3, weight_decay=0.05),
    paramwise_cfg=dict(rule="dinov2", layer_decay=1.0, layer_decay_in=["encoder"], patch_embed_lr=1.0),
    clip_grad=dict(_delete_=True, max_norm=3.0),
    precision="bf16",
)
param_scheduler = [dict(type="CosineSchedule", final=1e-6, warmup_epochs=0.5)]
custom_hooks = [
    dict(type="FastMatmulHook"),
    dict(type="LossSpikeHook", window_steps=200),
    dict(type="CollapseHook", interval_steps=100),
    dict(type="ViewPictureHook"),
    dict(type="KeepMemoryHook"),
]
sample = {"_delete_": True, "train_cfg.epochs": 1, "train_cfg.steps_per_epoch": 40, "train_dataloader.batch_size": 32}
ablation = dict(_delete_=True, temperature=dict(key="model.loss.temperature", values=[0.1, 0.2, 0.5]))
ablation_sample = {"_delete_": True}
