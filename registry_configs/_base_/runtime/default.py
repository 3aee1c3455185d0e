"""What every run shares: logs and checkpoints."""

default_scope = "gigakit"
randomness = dict(seed=0)

default_hooks = dict(
    scalars=dict(type="ScalarsHook", interval_steps=10),
    checkpoint=dict(type="SafeCheckpointHook", interval_steps=500, keep=2),
)
