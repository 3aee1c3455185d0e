"""Runners: what builds a run from a config and drives it."""
