"""Datasets, samplers, augmentations, masking and collation: from stored tiles to batches."""
