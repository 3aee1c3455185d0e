"""data/samplers."""
