"""Which tokens a masked autoencoder hides: the one rule that training and evaluation share."""

from __future__ import annotations

import numpy as np


def random_token_mask(length: int, ratio: float, generator: np.random.Generator) -> np.ndarray:
    """Hide a random ``ratio`` of ``length`` tokens, and leave at least one visible.

    Args:
        length: number of tokens L of the slide, padding not counted.
        ratio: fraction to hide, in [0, 1); MAE's value is 0.75.
        generator: the only source of randomness.

    Returns:
        ``(L,)`` bool, True = masked out; ``max(1, floor(L * (1 - ratio)))`` tokens stay visible.

    Source: MAE (He et al. 2022) section 3, "random sampling without replacement"; its code keeps
        ``int(L * (1 - ratio))`` tokens.
    Differs: at least one token stays visible, so that slides of one to three tiles have an input.
    """
    # the tolerance keeps 1 - 0.9 = 0.0999... from losing a token that exact arithmetic keeps
    visible = max(1, int(length * (1.0 - ratio) + 1e-9)) if length else 0
    mask = np.ones(length, dtype=bool)
    mask[generator.permutation(length)[:visible]] = False
    return mask
