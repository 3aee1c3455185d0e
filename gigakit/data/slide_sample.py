"""One slide as a sequence of tile embeddings, as augmentations and maskings see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class SlideSample:
    """A slide's tiles in the order of its sequence.

    Args:
        features: tile embeddings, ``(L, D)`` float32.
        grid: positions in tiles, ``(L, 2)`` float64, column then row.
        token_mask: ``(L,)`` bool, True = masked out, where it has been drawn.
    """

    features: np.ndarray
    grid: np.ndarray
    token_mask: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.features)

    def take(self, index: np.ndarray) -> SlideSample:
        """Return the tiles of an index, or of a mask, in its order."""
        mask = None if self.token_mask is None else self.token_mask[index]
        return SlideSample(self.features[index], self.grid[index], mask)


class SlideAugmentation(Protocol):
    """Changes a slide's sequence, drawing only from the generator handed in."""

    def __call__(self, sample: SlideSample, generator: np.random.Generator) -> SlideSample:
        """Return the augmented slide."""
        ...


class Masking(Protocol):
    """Chooses the tokens to hide, drawing only from the generator handed in."""

    def __call__(self, length: int, generator: np.random.Generator) -> np.ndarray:
        """Return ``(L,)`` bool, True = masked out."""
        ...
