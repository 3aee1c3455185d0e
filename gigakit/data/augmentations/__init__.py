"""data/augmentations."""
