"""Readers: from a file to levels and pixels."""
