"""Samplers: in which order the draws of a run visit a dataset."""
