"""Slide encoder: LongNet pretrained as a masked autoencoder over a slide's tile embeddings.

Paper   Prov-GigaPath (Nature 2024), Methods, "Slide-level pretraining".
Input   slides; or, with features=DIR, feature files of tile embeddings and positions.
Cost    86.3 M + decoder parameters; on the sample about 200 steps.
Expect  R² above the mean embedding's on hidden tiles of the sample, see the README's table.
Run     python tools/train.py registry_configs/gigapath_slide.py
        python tools/train.py registry_configs/gigapath_slide.py --set cohort=slides.csv
"""

_base_ = [
    "_base_/data/slide_sequences.py",
    "_base_/schedule/slide_pretraining.py",
    "_base_/runtime/default.py",
]

model = dict(
    type="MaskedAutoencoder",
    mask_ratio=0.75,  # MAE; not stated by the paper
    loss=dict(type="MaskedEmbeddingLoss", target="raw"),  # not stated
    encoder=dict(  # gigapath_slide_enc12l768d
        type="LongNet",
        width=768,
        depth=12,
        heads=16,
        attention=dict(
            type="DilatedAttention",
            segment_lengths=[1024, 5792, 32768, 185363, 1048576],
            dilation_ratios=[1, 2, 4, 8, 16],
        ),
        position=dict(type="GridSinCos2d"),
        dropout=0.25,  # defaults of the published class
        drop_path=0.1,
    ),
    decoder=dict(  # MAE's depth and width, not stated by the paper
        type="MaskedDecoder",
        width=512,
        depth=8,
        heads=16,
        attention=dict(type="DilatedAttention"),
        position=dict(type="GridSinCos2d"),
    ),
)

# one small slide: enough views of it for about 200 steps of a smaller published configuration
# (6 layers of 384) and decoder
sample = {
    "model.encoder.width": 384,
    "model.encoder.depth": 6,
    "model.decoder.width": 256,
    "model.decoder.depth": 4,
    "train_dataloader.dataset.views_per_slide": 27,
    "val_dataloader.dataset.views_per_slide": 8,
}

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
    crop=dict(key="train_dataloader.dataset.augmentations.0.ratio", values=[0.75, 0.875, 1.0]),
)
# overlapping tiles and scaled segments, so that several branches of dilated attention act
ablation_sample = {
    "preparation.tiler.overlap": 0.5,
    "model.encoder.attention.segment_lengths": [16, 32, 64, 128, 256],
}
