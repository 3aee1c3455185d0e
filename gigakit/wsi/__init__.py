"""Slides: readers, tissue, tiles, stores, cohorts, overview pictures; never torch."""
