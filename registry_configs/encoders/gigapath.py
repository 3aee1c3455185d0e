"""Prov-GigaPath as published: frozen tile encoder (ViT-g/16) and slide encoder (LongNet).

Paper   Prov-GigaPath (Nature 2024), Methods; its released inference code.
Input   slides, and --weights DIR with the files that prov-gigapath/prov-gigapath offers on the
        Hugging Face hub after one has asked for access: pytorch_model.bin (4.5 GB, tile encoder)
        and slide_encoder.pth (345 MB).
Cost    456 GFLOP a tile; see docs/embedding.md for seconds and memory.
Expect  1536 numbers a tile; 768 a slide for each of 13 layers, under cls and mean pooling.
Run     gigakit embed --encoder gigapath --weights DIR slides.csv
        gigakit embed --encoder gigapath --weights DIR --features DIR
"""

weights_files = dict(
    preparation=["pytorch_model.bin", "model.safetensors"],
    slide_embedding=["slide_encoder.pth", "slide_encoder.safetensors"],
)

preparation = dict(
    type="TileEmbedding",
    name="gigapath",
    segmenter=dict(type="OtsuSegmenter", mask_mpp=8.0),
    tiler=dict(type="GridTiler", tile_size_px=256, target_mpp=0.5, min_occupancy=0.1),
    quality=[  # a column each; quality_limits=dict(pen=[0, 0.05]) leaves tiles beyond them out
        dict(type="Blur"),
        dict(type="Pen"),
        dict(type="Background"),
        dict(type="Saturation"),
    ],
    quality_limits={},
    transform=dict(type="EvaluationTransform", resize_px=256, crop_px=224),
    encoder=dict(  # timm's vit_giant_patch14_dinov2 with patches of 16 px
        type="VisionTransformer",
        image_size=224,
        patch_size=16,
        width=1536,
        depth=40,
        heads=24,
        mlp_ratio=5.33334,
        ffn="swiglu",
        layer_scale=1e-5,
    ),
    precision="auto",  # fp16 on CUDA, as published
    batch_size=32,
    num_workers=4,
)

slide_embedding = dict(
    type="SlideEmbedding",
    name="gigapath",
    encoder=dict(  # gigapath_slide_enc12l768d
        type="LongNet",
        input_dim=1536,
        width=768,
        depth=12,
        heads=16,
        attention=dict(
            type="DilatedAttention",
            segment_lengths=[1024, 5792, 32768, 185363, 1048576],
            dilation_ratios=[1, 2, 4, 8, 16],
        ),
        position=dict(type="GridSinCos2d", quantize=True),  # whole cells, as its table has them
        dropout=0.0,
        drop_path=0.0,
    ),
    precision="auto",
    note="The cls token was not trained in pretraining, its authors say: for frozen use take mean. "
    "Compare layers on your task: users report large differences between them. What the authors "
    "call the last layer, feat_layer 11, is row 11, the last block but one.",
)
