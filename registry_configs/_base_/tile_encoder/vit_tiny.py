"""ViT-Ti/16: 5.5 M parameters."""

model = dict(
    encoder=dict(
        type="VisionTransformer",
        image_size=224,
        patch_size=16,
        width=192,
        depth=12,
        heads=3,
        mlp_ratio=4.0,
        ffn="mlp",
        layer_scale=1e-5,  # DINOv2's for training
    )
)
