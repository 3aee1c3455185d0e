"""Positions: from places on the tile grid to vectors."""
