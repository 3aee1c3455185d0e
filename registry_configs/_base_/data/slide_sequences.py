"""From slides to sequences of tile embeddings: preparation, and the two data loaders."""

cohort = "sample"  # or slides.csv, a folder of slides, one slide
out = None  # where stores go: work_dirs/stores/<cohort>
features = None  # a folder of feature files replaces cohort and preparation
labelled = None  # dict(root=, table=): labelled tiles, on which the tile encoder is scored

preparation = dict(
    type="TileEmbedding",
    segmenter=dict(type="OtsuSegmenter", mask_mpp=8.0),
    tiler=dict(type="GridTiler", tile_size_px=256, target_mpp=0.5, min_occupancy=0.1, overlap=0.0),
    quality=[  # a column each; quality_limits=dict(pen=[0, 0.05]) leaves tiles beyond them out
        dict(type="Blur"),
        dict(type="Pen"),
        dict(type="Background"),
        dict(type="Saturation"),
    ],
    quality_limits={},
    transform=dict(type="EvaluationTransform", resize_px=256, crop_px=224),
    encoder=dict(
        type="VisionTransformer",
        image_size=224,
        patch_size=16,
        width=192,
        depth=6,
        heads=3,
        stem="convolutional",
    ),
    weights="gigakit-tiny",  # gigakit's own small encoder; a file's path, or None: untrained
    seed=0,  # of an untrained one
)

train_dataloader = dict(
    batch_size=4,  # the paper's, of each device
    batch_sampler=None,  # or dict(type="TokenBudget", max_tokens=...) in place of batch_size
    num_workers=0,
    sampler=dict(type="ResumableSampler", shuffle=True),
    collate_fn=dict(type="pad_slides"),  # or pack_slides
    dataset=dict(
        type="SlideFeatures",
        views_per_slide=1,
        augmentations=[
            # the paper's 0.875; not stated is of what: here the sides of the tissue's box
            dict(type="CropWindow", ratio=0.875),
            dict(type="FlipGrid", p=0.5),
            dict(type="ShiftGrid", grid_size=1000),
        ],
        order=None,  # not stated; as stored: rows of the slide before the flip
    ),
)

# one evaluator for every cell of an ablation: fixed masks, no augmentation, raw embeddings
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="pad_slides"),
    dataset=dict(
        type="SlideFeatures", masking=dict(type="RandomTokens", ratio=0.75), views_per_slide=1, seed=0
    ),
)
val_evaluator = dict(type="MaskedReconstruction")
val_cfg = dict(type="ValLoop")
