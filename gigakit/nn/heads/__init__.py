"""nn/heads."""
