"""ViT-L/16: 303.4 M parameters."""

model = dict(
    encoder=dict(
        type="VisionTransformer",
        image_size=224,
        patch_size=16,
        width=1024,
        depth=24,
        heads=16,
        mlp_ratio=4.0,
        ffn="mlp",
        layer_scale=1e-5,  # DINOv2's for training
    )
)
