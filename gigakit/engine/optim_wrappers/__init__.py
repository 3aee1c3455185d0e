"""engine/optim_wrappers."""
