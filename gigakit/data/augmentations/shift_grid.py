"""Move a slide within the position grid."""

from __future__ import annotations

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.data.slide_sample import SlideSample
from gigakit.registry import AUGMENTATIONS


@AUGMENTATIONS.register_module()
class ShiftGrid:
    """Move all tiles by one whole number of cells per axis, such that all stay in the grid.

    Formula: the offset is uniform over the integers of ``[-floor(min), G - 1 - floor(max)]``, of
    which ``max_cells`` keeps those in ``[-max_cells, max_cells]``.

    Args:
        grid_size: cells G per side of the position grid; the paper's n_grid is 1000.
        max_cells: farthest move per axis; ``None`` as the paper has it. Positions that differ from
            view to view by hundreds of cells take long to make sense of: small data needs less.

    Raises:
        ConfigError: grid_size is not positive, max_cells is negative, or a slide is larger than the
            grid.

    Source: Prov-GigaPath, Methods, slide-level pretraining (coordinates moved by distances drawn
        uniformly such that all tiles stay inside the grid).
    """

    def __init__(self, *, grid_size: int = 1000, max_cells: int | None = None) -> None:
        if grid_size < 1:
            raise ConfigError(
                f"grid_size is {grid_size}", where="ShiftGrid", fix="give at least 1 cell"
            )
        if max_cells is not None and max_cells < 0:
            raise ConfigError(
                f"max_cells is {max_cells}", where="ShiftGrid", fix="give 0 or more, or None"
            )
        self.grid_size, self.max_cells = grid_size, max_cells

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
        if self.max_cells is not None:
            # a slide outside the grid is brought in, however far that is
            low, high = (
                np.clip(bound, np.minimum(high, -self.max_cells), np.maximum(low, self.max_cells))
                for bound in (low, high)
            )
        return SlideSample(sample.features, sample.grid + generator.integers(low, high + 1))
