"""nn/attention."""
