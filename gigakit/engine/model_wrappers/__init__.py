"""Model wrappers: how the processes of a run share the model."""
