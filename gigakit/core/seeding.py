"""Stateless randomness: every random number is a function of a seed and of what it is drawn for.

A step draws from ``fold_in(seed, rank, iteration)`` and a sample from ``fold_in(seed, draw)``, so a
resumed run repeats nothing and depends on no generator's history or worker count.
"""

from __future__ import annotations

import numpy as np


def fold_in(seed: int, *parts: int) -> int:
    """Derive a 63-bit seed from a seed and non-negative integers that name its use."""
    # the count keeps (a) and (a, 0) apart: the sequence is filled up with zeros inside
    words = np.random.SeedSequence([seed, len(parts), *parts]).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))


def random_generator(seed: int, *parts: int) -> np.random.Generator:
    """Return a NumPy generator seeded by ``fold_in(seed, *parts)``."""
    return np.random.default_rng(fold_in(seed, *parts))
