"""Hooks: what happens beside a training step."""
