"""Axes of slide-encoder pretraining: each cell is one change of gigapath_slide or a recipe like it."""

ablation = dict(
    attention=dict(
        key="model.encoder.attention",
        cells=dict(
            dilated=dict(type="DilatedAttention"),
            flash=dict(type="FullAttention", backend="flash"),
            local=dict(type="LocalAttention"),
            linear=dict(type="LinearAttention"),
        ),
    ),
    mask_ratio=dict(key="model.mask_ratio", values=[0.5, 0.75, 0.9]),
    target=dict(key="model.loss.target", values=["raw", "normalized", "cosine"]),
    decoder=dict(
        key="model.decoder",
        cells=dict(
            longnet=dict(type="MaskedDecoder"),
            light=dict(type="LightDecoder"),
        ),
    ),
    dropout=dict(key="model.encoder.dropout", values=[0.0, 0.25]),
    drop_path=dict(key="model.encoder.drop_path", values=[0.0, 0.1]),
    crop=dict(
        key="train_dataloader.dataset.augmentations.0",
        cells=dict(
            window=dict(type="CropWindow", ratio=0.875),
            run=dict(type="CropFraction", ratio=0.875),
            subset=dict(type="CropFraction", ratio=0.875, keep="subset"),
        ),
    ),
    crop_ratio=dict(
        key="train_dataloader.dataset.augmentations.0.ratio", values=[0.75, 0.875, 1.0]
    ),
    flip=dict(key="train_dataloader.dataset.augmentations.1.p", values=[0.0, 0.5]),
    shift=dict(key="train_dataloader.dataset.augmentations.2.max_cells", values=[0, 16, None]),
    order=dict(
        key="train_dataloader.dataset.order",
        cells=dict(
            keep=None,
            rows=dict(type="TileOrder", by="rows"),
            hilbert=dict(type="TileOrder", by="hilbert"),
            random=dict(type="TileOrder", by="random"),
        ),
    ),
    segments=dict(  # of dilated attention, with the ratio of each
        sets=dict(
            recipe={},
            three={
                "model.encoder.attention.segment_lengths": [1024, 32_768, 1_048_576],
                "model.encoder.attention.dilation_ratios": [1, 4, 16],
            },
            shortest={
                "model.encoder.attention.segment_lengths": [1024],
                "model.encoder.attention.dilation_ratios": [1],
            },
            undilated={"model.encoder.attention.dilation_ratios": [1, 1, 1, 1, 1]},
            steeper={"model.encoder.attention.dilation_ratios": [1, 3, 9, 27, 81]},
        )
    ),
    merge=dict(key="model.encoder.attention.merge", values=["lse", "mean"]),
    merge_gradient=dict(
        key="model.encoder.attention.merge_gradient", values=["detached", "exact"]
    ),
    head_offsets=dict(
        key="model.encoder.attention.head_offsets", values=["block", "modulo", "none"]
    ),
    wavelengths=dict(
        key="model.encoder.position.temperature", values=[30.0, 300.0, 10_000.0]
    ),
    whole_cells=dict(  # whole cells as in the published table, or places of overlapping tiles
        key="model.encoder.position.quantize", cells=dict(no=False, yes=True)
    ),
    overlap=dict(key="preparation.tiler.overlap", values=[0.0, 0.25, 0.5]),
)
