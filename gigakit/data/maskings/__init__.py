"""data/maskings."""
