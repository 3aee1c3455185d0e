"""wsi/readers."""
