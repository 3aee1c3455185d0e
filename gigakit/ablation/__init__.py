"""Ablations: axes, the plan of their cells, its execution, and one table of what came out."""
