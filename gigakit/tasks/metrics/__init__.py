"""Metrics: each is computed the same way whatever a config chooses to train."""
