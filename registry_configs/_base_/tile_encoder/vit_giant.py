"""ViT-g/16 with SwiGLU, GigaPath's tile encoder: 1,135.0 M parameters."""

model = dict(
    encoder=dict(
        type="VisionTransformer",
        image_size=224,
        patch_size=16,
        width=1536,
        depth=40,
        heads=24,
        mlp_ratio=5.33334,  # both halves of SwiGLU: 2 x 4096
        ffn="swiglu",
        layer_scale=1e-5,  # DINOv2's for training
    )
)
