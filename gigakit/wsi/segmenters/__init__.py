"""wsi/segmenters."""
