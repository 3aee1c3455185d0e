"""Loops: what happens in which order."""
