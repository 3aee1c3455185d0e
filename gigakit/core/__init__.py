"""Typed errors, seeding, atomic files and the component catalogue: what every floor stands on."""
