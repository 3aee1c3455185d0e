"""Backbones: encoders of tiles and of slides."""
