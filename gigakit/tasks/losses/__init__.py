"""Losses of slide-level tasks."""
