cohort = 'sample'
out = None
tiles = 'tiles'
labelled = None
preparation = dict(
    type='SlideTiling',
    segmenter=dict(type='OtsuSegmenter', mask_mpp=8.0),
    tiler=dict(type='GridTiler', tile_size_px=256, target_mpp=0.5, min_occupancy=0.1, overlap=0.0),
    quality=[dict(type='Blur'), dict(type='Pen'), dict(type='Background'), dict(type='Saturation')],
    quality_limits=dict(),
)
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    sampler=dict(type='ResumableSampler', shuffle=True),
    collate_fn=dict(type='collate_views', masking=None),
    dataset=dict(
        type='SlideTileViews',
        views=dict(
            type='MultiCrop',
            global_px=112,
            global_scale=(0.12, 0.4),
            local_count=0,
            vertical_flip=0.5,
            right_angles=0.75,
            resize='fast',
            global_count=1,
        ),
        tissue_filter=None,
        jitter=0.0,
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='LabelledTiles', root=None, transform=dict(type='ResizeCrop', size_px=224)),
)
val_evaluator = dict(type='TileProbe')
val_cfg = dict(type='ValLoop')
model = dict(
    type='PatternPrediction',
    encoder=dict(
        type='VisionTransformer',
        image_size=112,
        patch_size=16,
        width=192,
        depth=6,
        heads=3,
        stem='convolutional',
    ),
    loss=dict(type='LocalPatternLoss', radii=[1, 2, 3]),
    data_preprocessor=dict(type='TileViews', photometric=[]),
)
train_cfg = dict(type='PretrainLoop', epochs=28, steps_per_epoch=100)
optim_wrapper = dict(
    type='GuardedOptimWrapper',
    constructor='GroupedOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=0.0015, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(
        rule='dinov2',
        layer_decay=1.0,
        layer_decay_in=['encoder'],
        patch_embed_lr=1.0,
    ),
    clip_grad=dict(max_norm=3.0),
    precision='bf16',
)
param_scheduler = [dict(type='CosineSchedule', final=1e-06, warmup_epochs=0.5)]
default_scope = 'gigakit'
randomness = dict(seed=0)
default_hooks = dict(
    scalars=dict(type='ScalarsHook', interval_steps=10),
    checkpoint=dict(type='SafeCheckpointHook', interval_steps=500, keep=2),
)
custom_hooks = [
    dict(type='FastMatmulHook'),
    dict(type='LossSpikeHook', window_steps=200),
    dict(type='CollapseHook', interval_steps=100),
    dict(type='ViewPictureHook'),
]
ablation = dict(
    stem=dict(key='model.encoder.stem', values=['linear', 'convolutional']),
    radii=dict(key='model.loss.radii', values=[[1], [1, 2], [1, 2, 3]]),
)
ablation_sample = dict()
sample = {'train_cfg.epochs': 1, 'train_cfg.steps_per_epoch': 40, 'train_dataloader.batch_size': 32}
