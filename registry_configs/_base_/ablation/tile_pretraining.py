"""Axes of tile-encoder pretraining: each cell is one change of gigapath_tile or a recipe like it.

The optimiser, its rate and the number of steps are the recipe's in every cell, whatever the
objective was published with.
"""

_dino = dict(type="DinoLoss", weight=1.0)
_ibot = dict(type="IbotLoss", weight=1.0)
_koleo = dict(type="KoLeoLoss", weight=0.1)

# what objectives without a teacher have of the runtime, the optimiser and the masks
_alone = {
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
ablation = dict(
    objective=dict(
        sets=dict(
            dino_ibot_koleo={},
            simclr={
                "model": dict(
                    _keep_=["encoder", "data_preprocessor"],
                    type="ContrastiveLearning",
                    projector=dict(type="ProjectionMlp"),
                    loss=dict(type="SimClrLoss"),
                ),
                "train_dataloader.dataset.views.local_count": 0,
            }
            | _alone,
            mae={
                "model": dict(
                    _keep_=["encoder", "data_preprocessor"],
                    type="ImageMaskedAutoencoder",
                    encoder=dict(drop_path=0.0),
                    decoder=dict(type="PatchDecoder"),
                    data_preprocessor=dict(photometric=[]),
                ),
                "train_dataloader.dataset.views": dict(
                    global_count=1, local_count=0, global_scale=(0.2, 1.0)
                ),
            }
            | _alone
            | {
                "optim_wrapper.paramwise_cfg": dict(rule="mae", layer_decay=1.0, patch_embed_lr=1.0)
            },
            patterns={
                "model": dict(
                    _keep_=["encoder", "data_preprocessor"],
                    type="PatternPrediction",
                    data_preprocessor=dict(photometric=[]),
                ),
                "train_dataloader.dataset.views": dict(global_count=1, local_count=0),
            }
            | _alone,
        )
    ),
    stem=dict(key="model.encoder.stem", values=["linear", "convolutional"]),
    losses=dict(
        sets=dict(
            dino={  # masks act on the class tokens' loss too
                "model.losses": [_dino],
                "model.patch_head": None,
                "train_dataloader.collate_fn.masking": None,
            },
            dino_masked={"model.losses": [_dino], "model.patch_head": None},
            dino_ibot={"model.losses": [_dino, _ibot]},
            dino_ibot_koleo={"model.losses": [_dino, _ibot, _koleo]},
        )
    ),
    regulariser=dict(
        key="model.losses",
        cells=dict(
            koleo=[_dino, _ibot, _koleo],
            kde=[_dino, _ibot, dict(type="KdeLoss", weight=0.05)],  # Virchow2's
            none=[_dino, _ibot],
        ),
    ),
    targets=dict(
        key="model.targets",
        cells=dict(centering=dict(type="Centering"), sinkhorn=dict(type="SinkhornKnopp")),
    ),
    prototypes=dict(key="model.head.prototypes", values=[1024, 4096, 16_384, 65_536, 131_072]),
    patch_head=dict(
        key="model.patch_head",
        cells=dict(
            shared=None,
            own=dict(type="DinoHead", prototypes=65_536, hidden=2048, bottleneck=256, layers=3),
        ),
    ),
    momentum=dict(key="custom_hooks.1.base", values=[0.99, 0.992, 0.994, 0.996]),
    registers=dict(key="model.encoder.registers", values=[0, 4]),
    layer_scale=dict(key="model.encoder.layer_scale", cells=dict(off=None, on=1e-5)),
    ffn=dict(  # as many multiplications
        sets=dict(
            mlp={"model.encoder.ffn": "mlp", "model.encoder.mlp_ratio": 4.0},
            swiglu={"model.encoder.ffn": "swiglu", "model.encoder.mlp_ratio": 5.33334},
        )
    ),
    drop_path=dict(key="model.encoder.drop_path", values=[0.0, 0.1, 0.3, 0.4]),
    drop_path_mode=dict(key="model.encoder.drop_path_mode", values=["subset", "sample"]),
    views=dict(
        sets=dict(
            multi_crop={},
            extended_context={  # Virchow2's: cells keep their size
                "train_dataloader.dataset.views": dict(
                    _keep_=["global_px", "local_px", "local_count"], type="ExtendedContextCrops"
                ),
                "train_dataloader.dataset.tile_size_px": 392,
            },
        )
    ),
    local_crops=dict(
        sets={
            "0": {  # global crops take over the small scales, as in iBOT
                "train_dataloader.dataset.views.local_count": 0,
                "train_dataloader.dataset.views.global_scale": (0.14, 1.0),
            },
            "2": {"train_dataloader.dataset.views.local_count": 2},
            "4": {"train_dataloader.dataset.views.local_count": 4},
            "8": {"train_dataloader.dataset.views.local_count": 8},
        }
    ),
    vertical_flip=dict(key="train_dataloader.dataset.views.vertical_flip", values=[0.0, 0.5]),
    right_angles=dict(key="train_dataloader.dataset.views.right_angles", values=[0.0, 0.75]),
    masking=dict(  # the shape alone: all hide as much
        key="train_dataloader.collate_fn.masking",
        cells=dict(
            block=dict(type="BlockMasks"),
            block_exact=dict(type="BlockMasks", exact=True),
            random=dict(type="RandomPatchMasks"),
            inverse=dict(type="InverseBlockMasks", probability=0.5, ratio=(0.1, 0.5)),
        ),
    ),
    mask_ratio=dict(
        key="train_dataloader.collate_fn.masking.ratio",
        values=[(0.1, 0.3), (0.1, 0.5), (0.5, 0.7)],
    ),
    photometric=dict(
        key="model.data_preprocessor.photometric",
        cells=dict(
            dinov2=[
                dict(
                    type="ColorJitter", brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, p=0.8
                ),
                dict(type="RandomGrey", p=0.2),
                dict(type="GaussianBlur", p=[1.0, 0.1, 0.5]),
                dict(type="Solarize", p=[0.0, 0.2, 0.0]),
            ],
            pathology_light=[
                dict(type="HedJitter", scale=0.05, shift=0.05),
                dict(
                    type="ColorJitter",
                    brightness=0.2,
                    contrast=0.2,
                    saturation=0.1,
                    hue=0.05,
                    p=0.8,
                ),
                dict(type="RandomGrey", p=0.2),
                dict(type="GaussianBlur", p=[1.0, 0.1, 0.5]),
            ],
            none=[],
        ),
    ),
    blur=dict(
        key="model.data_preprocessor.photometric.2.p",
        cells=dict(intended=[1.0, 0.1, 0.5], released=[0.0, 0.9, 0.5]),
    ),
    solarize=dict(
        key="model.data_preprocessor.photometric.3.p",
        cells=dict(on=[0.0, 0.2, 0.0], off=0.0),
    ),
    tissue_filter=dict(
        key="train_dataloader.dataset.tissue_filter",
        cells=dict(off=None, on=dict(type="TissueFilter")),
    ),
    mpp=dict(  # of slides; stored tiles have the one they were stored at
        key="train_dataloader.dataset.mpp",
        cells=dict(tiling=[], four=[0.25, 0.5, 1.0, 2.0]),
    ),
    jitter=dict(key="train_dataloader.dataset.jitter", values=[0.0, 0.5]),
)
ablation_sample = {
    "ablation.patch_head.cells.own.prototypes": 1024,
    "ablation.patch_head.cells.own.hidden": 512,
    "ablation.patch_head.cells.own.bottleneck": 128,
    "ablation.views.sets.extended_context.train_dataloader.dataset.tile_size_px": 196,
}
