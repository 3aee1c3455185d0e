"""engine/schedules."""
