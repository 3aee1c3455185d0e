"""Datasets: one item is one slide, or one tile."""
