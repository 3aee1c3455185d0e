"""GigaPath's slide encoder and a linear layer, as its released fine-tuning has them.

Weights come by --init-from: the published slide_encoder.pth, a run of gigapath_slide, or an export.
"""

model = dict(
    type="SlidePrediction",
    aggregator=dict(
        type="LongNetAggregator",
        encoder=dict(  # gigapath_slide_enc12l768d
            type="LongNet",
            width=768,
            depth=12,
            heads=16,
            attention=dict(
                type="DilatedAttention",
                segment_lengths=[1024, 5792, 32768, 185363, 1048576],  # slides to 262,144 px
                dilation_ratios=[1, 2, 4, 8, 16],
            ),
            position=dict(type="GridSinCos2d"),
            dropout=0.1,
            drop_path=0.1,
        ),
        pooling="cls",
        layers=[11],  # feat_layer "11": the last block but one
        frozen=False,
    ),
    head=dict(type="LinearHead"),
)

ablation = dict(
    aggregator=dict(
        key="model.aggregator",
        cells=dict(
            longnet=dict(type="LongNetAggregator"),
            abmil=dict(type="AttentionMil"),
            gated=dict(type="AttentionMil", gated=True),
            clam=dict(type="Clam", instance_weight=0.0),
            transmil=dict(type="TransMil"),
            mean=dict(type="MeanPooling"),
            max=dict(type="MaxPooling"),
        ),
    ),
    layers=dict(
        key="model.aggregator.layers",
        cells=dict(last=[12], published=[11], early=[5, 11], all=[*range(1, 13)]),
    ),
    pooling=dict(key="model.aggregator.pooling", values=["cls", "mean"]),
    frozen=dict(key="model.aggregator.frozen", values=[False, True]),
    layer_decay=dict(key="optim_wrapper.paramwise_cfg.layer_decay", values=[0.9, 0.95, 1.0]),
    patch_embed=dict(
        key="optim_wrapper.paramwise_cfg.patch_embed_at_full_rate", values=[True, False]
    ),
    leftovers=dict(key="train_cfg.carry_leftovers", values=[True, False]),
)
