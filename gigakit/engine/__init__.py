"""Training on mmengine, made safe: runner, loop, hooks, optimisation, checkpoints."""
