"""The paper's schedule of the slide encoder: 30 epochs, the first is warm-up, then a cosine.

Paper: lr 5e-4, 4 slides a device. MAE where the paper is silent: AdamW's betas and weight decay,
cosine to 0 per step, no clipping.
"""

train_cfg = dict(type="PretrainLoop", epochs=30)

optim_wrapper = dict(
    type="GuardedOptimWrapper",
    constructor="GroupedOptimWrapperConstructor",
    optimizer=dict(type="AdamW", lr=5e-4, betas=(0.9, 0.95), weight_decay=0.05),
)
param_scheduler = [dict(type="WarmupCosine", warmup_epochs=1)]
