"""Tilers: where a slide's tiles lie."""
