"""Targets: from a teacher's logits to the probabilities that a student is to predict."""
