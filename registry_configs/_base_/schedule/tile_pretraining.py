"""DINOv2's short recipe: what GigaPath's tile encoder was trained with where its paper is silent.

An epoch is 1,250 steps, whatever the data. The paper's base rate of 4e-3, DINOv2's rule (times the
root of batch / 1024) and its batch of 384 tiles give 2.45e-3.
"""

train_cfg = dict(type="PretrainLoop", epochs=100, steps_per_epoch=1250)

optim_wrapper = dict(
    type="GuardedOptimWrapper",
    constructor="GroupedOptimWrapperConstructor",
    optimizer=dict(
        type="AdamW", lr=4e-3 * (384 / 1024) ** 0.5, betas=(0.9, 0.999), weight_decay=0.04
    ),
    paramwise_cfg=dict(
        rule="dinov2", layer_decay=0.9, layer_decay_in=["student.encoder"], patch_embed_lr=0.2
    ),
    clip_grad=dict(max_norm=3.0, parts=["student.encoder", "student.head", "student.patch_head"]),
)
param_scheduler = [
    dict(type="CosineSchedule", final=1e-6, warmup_epochs=10, last_layer_frozen_epochs=1),
    dict(type="CosineSchedule", key="weight_decay", final=0.4),
]
