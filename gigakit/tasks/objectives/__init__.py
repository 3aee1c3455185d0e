"""Objectives of slide-level tasks: what the runner trains."""
