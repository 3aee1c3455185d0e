"""Probes: what frozen embeddings are worth, on labelled tiles."""
