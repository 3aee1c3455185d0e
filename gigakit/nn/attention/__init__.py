"""Attention variants (what is computed), and the backends that compute them (how)."""
