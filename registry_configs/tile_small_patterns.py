"""Tile encoder for small data and CPUs: a convolutional stem and six blocks of 192 learn texture.

Paper   Masked feature prediction (Wei et al. 2022) with local binary patterns (Ojala et al. 2002)
        as what is predicted, and nothing masked; the stem of Xiao et al. 2021. Not Prov-GigaPath's.
Input   stored tiles of 224 px and more, --set tiles=DIR; or slides.
Cost    2.8 M parameters, 1 GFLOP a crop and step: 2,800 steps of 64 are 0.18 PFLOP, 42 minutes on
        a core.
Expect  docs/tile_pretraining.md has what a linear probe reaches, beside colour and texture.
Run     gigakit train tile_small_patterns --set tiles=DIR
        gigakit train tile_small_patterns --set tiles=DIR --set "labelled=dict(root='DIR', table='labels.csv')"
"""

_base_ = ["tile_small_simclr.py"]

model = dict(
    _delete_=True,
    type="PatternPrediction",
    encoder=dict(
        type="VisionTransformer",
        image_size=112,
        patch_size=16,
        width=192,
        depth=6,
        heads=3,
        stem="convolutional",
    ),
    loss=dict(type="LocalPatternLoss", radii=[1, 2, 3]),
    data_preprocessor=dict(type="TileViews", photometric=[]),
)
train_dataloader = dict(dataset=dict(views=dict(global_count=1)))
train_cfg = dict(epochs=28, steps_per_epoch=100)
ablation = dict(
    _delete_=True,
    stem=dict(key="model.encoder.stem", values=["linear", "convolutional"]),
    radii=dict(key="model.loss.radii", values=[[1], [1, 2], [1, 2, 3]]),
)
