"""Qualities of tiles, one component a file."""
