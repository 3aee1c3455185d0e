"""Uniformly random masking of a slide's tokens."""

from __future__ import annotations

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.core.token_masks import random_token_mask
from gigakit.registry import MASKINGS


@MASKINGS.register_module()
class RandomTokens:
    """Hide a fixed fraction of a slide's tokens, drawn without replacement.

    Args:
        ratio: fraction to hide, in [0, 1). MAE uses 0.75; Prov-GigaPath does not state its own.

    Raises:
        ConfigError: the ratio is outside [0, 1).

    Source: MAE (He et al. 2022) section 3.
    """

    def __init__(self, *, ratio: float = 0.75) -> None:
        if not 0.0 <= ratio < 1.0:
            raise ConfigError(f"ratio is {ratio}", where="RandomTokens", fix="give 0 <= ratio < 1")
        self.ratio = ratio

    def __call__(self, length: int, generator: np.random.Generator) -> np.ndarray:
        """Return ``(L,)`` bool, True = masked out."""
        return random_token_mask(length, self.ratio, generator)
