"""What every run shares: loops around training, logs, checkpoints."""

default_scope = "gigakit"
randomness = dict(seed=0)

val_cfg = dict(type="ValLoop")

default_hooks = dict(
    scalars=dict(type="ScalarsHook", interval_steps=10),
    checkpoint=dict(type="SafeCheckpointHook", interval_steps=500, keep=2),
)
