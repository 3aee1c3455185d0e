"""Executors: where the work on a cohort's slides is done."""
