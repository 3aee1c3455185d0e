"""Objectives: what a pretraining run minimises."""
