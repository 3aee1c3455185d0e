"""What frozen probes fit, one file each: ``fit(features, targets, task, setting, seed)``."""
