"""Maskings: which tokens an objective hides from its encoder."""
