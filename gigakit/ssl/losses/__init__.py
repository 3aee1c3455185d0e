"""ssl/losses."""
