"""Segmenters: which part of a slide is tissue."""
