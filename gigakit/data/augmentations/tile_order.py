"""The order in which a slide's tiles form its sequence."""

from __future__ import annotations

from typing import Literal

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.data.slide_sample import SlideSample
from gigakit.registry import AUGMENTATIONS

# places a side that a tile is divided into: fractions of overlapping tiles keep their order
_PLACES = 8


@AUGMENTATIONS.register_module()
class TileOrder:
    """Serialise a slide anew, after it was cropped, flipped and moved.

    Segments of dilated attention are runs of the sequence, so the order decides which tiles see
    each other beyond 1,024 tokens. Without this component tiles keep the order in which they are
    stored: rows from top to bottom, each from left to right, whatever a flip did since.

    Args:
        by: ``rows`` sorts by row, then column; ``hilbert`` follows Hilbert's curve, whose
            neighbours in the sequence are neighbours on the slide; ``random`` shuffles, as the
            published fine-tuning does.

    Raises:
        ConfigError: another order.

    Source: not stated by the paper; ``random`` is ``shuffle_tiles`` of Prov-GigaPath's published
        fine-tuning, ``hilbert`` the curve of Hilbert 1891.
    """

    def __init__(self, *, by: Literal["rows", "hilbert", "random"] = "rows") -> None:
        if by not in ("rows", "hilbert", "random"):
            raise ConfigError(
                f"by is '{by}'", where="TileOrder", fix="give rows, hilbert or random"
            )
        self.by = by

    def __call__(self, sample: SlideSample, generator: np.random.Generator) -> SlideSample:
        """Return the same tiles in the new order; equal positions keep theirs."""
        if self.by == "random":
            return sample.take(generator.permutation(len(sample)))
        if self.by == "rows":
            return sample.take(np.lexsort(sample.grid.T))
        return sample.take(np.argsort(hilbert_distance(sample.grid), kind="stable"))


def hilbert_distance(grid: np.ndarray) -> np.ndarray:
    """Return how far along Hilbert's curve positions lie.

    Args:
        grid: ``(L, 2)`` positions in tiles.

    Returns:
        ``(L,)`` int64. Whole tiles that follow each other on a full square touch each other.
    """
    if not len(grid):
        return np.zeros(0, dtype=np.int64)
    x, y = np.floor((grid - np.floor(grid.min(axis=0))) * _PLACES).astype(np.int64).T
    distance = np.zeros(len(grid), dtype=np.int64)
    half = 1 << max(int(max(x.max(), y.max())).bit_length() - 1, 0)
    while half:
        right, lower = (x & half) > 0, (y & half) > 0
        distance += half * half * ((3 * right) ^ lower)
        # turn the quadrant so that the curve in it looks like the whole
        mirrored = right & ~lower
        x, y = (
            np.where(mirrored, half - 1 - x % half, x % half),
            np.where(mirrored, half - 1 - y % half, y % half),
        )
        x, y = np.where(lower, x, y), np.where(lower, y, x)
        half >>= 1
    return distance
