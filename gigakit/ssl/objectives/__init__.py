"""ssl/objectives."""
