"""From predictions of cross-validated runs to numbers with intervals, by patient."""
