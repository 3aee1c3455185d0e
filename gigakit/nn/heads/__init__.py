"""Heads: what stands on a backbone."""
