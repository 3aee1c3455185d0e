"""nn/positions."""
