"""What every run shares: loops around training, logs, checkpoints, pictures."""

default_scope = "gigakit"
randomness = dict(seed=0)

val_cfg = dict(type="ValLoop")

default_hooks = dict(
    scalars=dict(type="ScalarsHook", interval_steps=10),
    checkpoint=dict(type="SafeCheckpointHook", interval_steps=500, keep=2),
)
custom_hooks = [
    dict(type="LossSpikeHook", window_steps=200),
    dict(type="CollapseHook", interval_steps=100),
    dict(type="OverviewPictureHook", slides=4),
    dict(type="ReconstructionPictureHook", slides=2),
    dict(type="AttentionPictureHook", slides=2),
    dict(type="AttentionPatternHook"),
]
