"""Slide encoder: LongNet pretrained as a masked autoencoder over a slide's tile embeddings.

Paper   Prov-GigaPath (Nature 2024), Methods, "Slide-level pretraining": crop 0.875, moved within the
        grid, flip 0.5, lr 5e-4, 4 slides a device, 30 epochs of which the first is warm-up, cosine.
        What it leaves open is marked below; docs/slide_pretraining.md has the table of choices.
Input   slides; or, with features=DIR, feature files of tile embeddings and positions.
Cost    86.3 M + 27.5 M parameters of the decoder; the paper used 3,072 A100 hours. On the sample 7 M
        parameters and 210 steps, half a minute on a core.
Expect  on the sample hidden tiles predicted better than by the mean embedding and by the nearest
        visible tile, see the README's table.
Run     python tools/train.py registry_configs/gigapath_slide.py
        python tools/train.py registry_configs/gigapath_slide.py --set cohort=slides.csv
"""

_base_ = [
    "_base_/data/slide_sequences.py",
    "_base_/schedule/slide_pretraining.py",
    "_base_/runtime/slide.py",
    "_base_/ablation/slide_pretraining.py",
]

model = dict(
    type="MaskedAutoencoder",
    mask_ratio=0.75,  # MAE; not stated by the paper
    loss=dict(type="MaskedEmbeddingLoss", target="raw"),  # not stated; MAE has raw and normalized
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
        dropout=0.25,  # defaults of the published class; not stated for pretraining, MAE has 0
        drop_path=0.1,
    ),
    decoder=dict(  # not stated: MAE's depth and width, with LongNet's blocks
        type="MaskedDecoder",
        width=512,
        depth=8,
        heads=16,
        attention=dict(type="DilatedAttention"),
        position=dict(type="GridSinCos2d"),
    ),
)

# one small slide: enough views of it for about 200 steps of a smaller published configuration
# (LongNet_3_layers_384_dim) and decoder. It stays in its place: anywhere in 1000 x 1000 cells, 200
# steps do not teach which positions are near each other. Wavelengths of positions reach to 190
# tiles, not to 63,000, since the slide has 11 rows
sample = {
    "model.encoder.width": 384,
    "model.encoder.depth": 3,
    "model.decoder.width": 256,
    "model.decoder.depth": 2,
    "model.encoder.position.temperature": 30.0,
    "model.decoder.position.temperature": 30.0,
    "train_dataloader.dataset.augmentations.2.max_cells": 0,
    "train_dataloader.dataset.views_per_slide": 27,
    "val_dataloader.dataset.views_per_slide": 8,
}

# overlapping tiles, scaled segments and a short reach, so that several branches of dilated attention
# act and local attention is local
ablation_sample = {
    "preparation.tiler.overlap": 0.5,
    "model.encoder.attention.segment_lengths": [16, 32, 64, 128, 256],
    "ablation.attention.cells.local.reach": 8,
}
