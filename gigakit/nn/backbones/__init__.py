"""nn/backbones."""
