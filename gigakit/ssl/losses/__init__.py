"""Losses: one number from predictions and targets."""
