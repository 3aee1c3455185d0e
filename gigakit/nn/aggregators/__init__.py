"""Aggregators: from a slide's tile embeddings to one embedding of the slide."""
