"""wsi/tilers."""
