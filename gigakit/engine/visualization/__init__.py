"""engine/visualization."""
