"""GigaPath's released fine-tuning: defaults of its code, faults included, each by its name.

AdamW, base rate 4e-3 × 32 slides / 256, weight decay 1e-5, layer decay 0.95, 5 epochs of which the
first is warm-up, then half a cosine to 1e-6, once an accumulation window of 32 slides.
Differs: bf16 where a recipe asks for it, in place of fp16 with a scaler; fp32 otherwise.
"""

train_cfg = dict(
    type="FineTuneLoop",
    epochs=5,
    val_interval_epochs=1,
    carry_leftovers=True,  # published: an epoch's last slides stay in the accumulator
)
optim_wrapper = dict(
    type="GuardedOptimWrapper",
    constructor="GroupedOptimWrapperConstructor",
    accumulative_counts=32,
    optimizer=dict(type="AdamW", lr=4e-3 * 32 / 256, betas=(0.9, 0.999), weight_decay=1e-5),
    paramwise_cfg=dict(
        rule="gigapath",
        layer_decay=0.95,
        layer_decay_in=["aggregator.encoder"],
        patch_embed_at_full_rate=True,  # published fault; False treats it as a layer like others
    ),
)
param_scheduler = [dict(type="WarmupCosine", warmup_epochs=1, final_lr=1e-6)]
