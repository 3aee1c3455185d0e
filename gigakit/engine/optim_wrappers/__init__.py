"""What surrounds the optimiser: precision, clipping, guards, parameter groups."""
