"""Move a slide within the position grid."""

from __future__ import annotations

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.data.slide_sample import SlideSample
from gigakit.registry import AUGMENTATIONS


@AUGMENTATIONS.register_module()
class ShiftGrid:
    """Move all tiles by one whole number of cells per axis, such that all stay in the grid.

    Formula: the offset is uniform over the integers of ``[-floor(min), G - 1 - floor(max)]``.

    Args:
        grid_size: cells G per side of the position grid; the paper's n_grid is 1000.

    Raises:
        ConfigError: grid_size is not positive, or a slide is larger than the grid.

    Source: Prov-GigaPath, Methods, slide-level pretraining (coordinates moved by distances drawn
        uniformly such that all tiles stay inside the grid).
    """

    def __init__(self, *, grid_size: int = 1000) -> None:
        if grid_size < 1:
            raise ConfigError(
                f"grid_size is {grid_size}", where="ShiftGrid", fix="give at least 1 cell"
            )
        self.grid_size = grid_size

    def __call__(self, sample: SlideSample, generator: np.random.Generator) -> SlideSample:
        """Return the slide at its new place."""
        low = -np.floor(sample.grid.min(axis=0)).astype(np.int64)
        high = self.grid_size - 1 - np.floor(sample.grid.max(axis=0)).astype(np.int64)
        if (high < low).any():
            cells = (sample.grid.max(axis=0) - sample.grid.min(axis=0) + 1.0).max()
            raise ConfigError(
                f"a slide of {cells:.0f} cells does not fit grid_size {self.grid_size}",
                where="ShiftGrid",
                fix="raise grid_size",
            )
        return SlideSample(sample.features, sample.grid + generator.integers(low, high + 1))
