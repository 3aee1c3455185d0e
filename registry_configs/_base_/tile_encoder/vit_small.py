"""ViT-S/16: 21.7 M parameters."""

model = dict(
    encoder=dict(
        type="VisionTransformer",
        image_size=224,
        patch_size=16,
        width=384,
        depth=12,
        heads=6,
        mlp_ratio=4.0,
        ffn="mlp",
        layer_scale=1e-5,  # DINOv2's for training
    )
)
