"""engine/loops."""
