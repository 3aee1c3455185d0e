"""Exact areas: which source px each target px covers."""

from __future__ import annotations

import numpy as np


class Footprints:
    """The source px that target px cover along one axis, and by how much."""

    def __init__(self, start: float, scale: float, count: int) -> None:
        # rounding noise of the division must not add a source px of weight 1e-12
        self.edges = np.round(start + scale * np.arange(count + 1), 9)
        self.first = int(np.floor(self.edges[0]))
        self.count = int(np.ceil(self.edges[-1])) - self.first
        self.scale = scale
        self.is_whole = float(scale).is_integer() and float(self.edges[0]).is_integer()

    def weights(self, start: int | None = None, count: int | None = None) -> np.ndarray:
        """Return ``(targets, count)`` weights; the rows of all source px sum to 1."""
        first = self.first if start is None else start
        source = first + np.arange(self.count if count is None else count)
        low = np.maximum(self.edges[:-1, None], source[None, :])
        high = np.minimum(self.edges[1:, None], source[None, :] + 1)
        weights: np.ndarray = (np.maximum(high - low, 0) / self.scale).astype(np.float32)
        return weights

    def add(self, total: np.ndarray, strip: np.ndarray, start: int) -> None:
        """Add a strip of source rows, which begins at ``start``, to the rows that cover it."""
        touched = slice(
            max(0, int(np.searchsorted(self.edges, start, side="right")) - 1),
            int(np.searchsorted(self.edges, start + len(strip), side="left")),
        )
        edges = Footprints.__new__(Footprints)
        edges.edges, edges.scale = self.edges[touched.start : touched.stop + 1], self.scale
        weights = edges.weights(start, len(strip))
        total[touched] += np.tensordot(weights, strip, axes=1)
