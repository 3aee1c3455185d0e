"""ViT-B/16: 85.8 M parameters."""

model = dict(
    encoder=dict(
        type="VisionTransformer",
        image_size=224,
        patch_size=16,
        width=768,
        depth=12,
        heads=12,
        mlp_ratio=4.0,
        ffn="mlp",
        layer_scale=1e-5,  # DINOv2's for training
    )
)
