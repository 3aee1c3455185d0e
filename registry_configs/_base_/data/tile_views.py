"""From slides, or stored tiles, to global and local crops of tiles; labelled tiles to probe on."""

cohort = "sample"  # or slides.csv, a folder of slides, one slide
out = None  # where places of tiles go: work_dirs/stores/<cohort>
tiles = None  # stored tiles replace cohort: a folder, .zip, .tar shards, or dict(root=, table=, split=)
labelled = None  # dict(root=, table=): labelled tiles, on which training is probed

preparation = dict(
    type="SlideTiling",
    segmenter=dict(type="OtsuSegmenter", mask_mpp=8.0),
    tiler=dict(type="GridTiler", tile_size_px=256, target_mpp=0.5, min_occupancy=0.1, overlap=0.0),
    quality=[
        dict(type="Blur"),
        dict(type="Pen"),
        dict(type="Background"),
        dict(type="Saturation"),
    ],
    quality_limits={},
)

train_dataloader = dict(
    batch_size=12,  # the paper's, of each device
    num_workers=0,
    sampler=dict(type="ResumableSampler", shuffle=True),
    collate_fn=dict(type="collate_views", masking=dict(type="BlockMasks"), multiple_of=32),
    dataset=dict(
        type="SlideTileViews",
        views=dict(type="MultiCrop"),  # DINOv2's: 2 x 224 and 8 x 96
        tissue_filter=None,  # or dict(type="TissueFilter")
        jitter=0.0,
    ),
)

# off without labelled tiles; validation tiles are scored, test tiles are for gigakit probe
val_dataloader = dict(
    batch_size=64,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
    dataset=dict(type="LabelledTiles", root=None, transform=dict(type="ResizeCrop", size_px=224)),
)
val_evaluator = dict(type="TileProbe")
val_cfg = dict(type="ValLoop")
