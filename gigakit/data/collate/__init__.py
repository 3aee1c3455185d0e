"""Collate functions: from a list of samples to a batch."""
