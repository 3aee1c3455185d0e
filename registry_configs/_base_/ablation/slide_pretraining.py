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
)
