"""Augmentations and transforms of tiles' pixels and of slides' tile sequences."""
