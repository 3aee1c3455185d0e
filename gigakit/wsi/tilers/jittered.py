"""Tiles of a grid, each moved at random."""

from __future__ import annotations

import numpy as np

from gigakit.registry import TILERS
from gigakit.wsi.layout import Layout, grid_positions, require, slide_generator
from gigakit.wsi.slide import Slide
from gigakit.wsi.tiles import TileTable


@TILERS.register_module()
class JitteredTiler:
    """Move each tile of a grid by an offset drawn uniformly, so that neighbours overlap or part.

    Offsets follow from the seed and the slide's name alone. Tiles stay inside the slide.

    Args:
        moving_distance: greatest offset along each axis, in tiles.
        seed: of the offsets.
        tile_size_px: side of a tile at the target resolution.
        target_mpp: µm/px.
        min_occupancy: fraction of the moved tile that must be tissue.
        overlap: fraction that neighbours of the grid share before they are moved.
        tolerance: a level within this fraction of the target is read as it is.

    Raises:
        ConfigError: a value out of range.

    Source: the "moving distance" of tiles that tile-encoder pretraining draws from slides.
    """

    def __init__(
        self,
        *,
        moving_distance: float = 0.5,
        seed: int = 0,
        tile_size_px: int = 256,
        target_mpp: float = 0.5,
        min_occupancy: float = 0.1,
        overlap: float = 0.0,
        tolerance: float = 0.02,
    ) -> None:
        require("moving_distance", moving_distance, sensible=0 <= moving_distance <= 1)
        require("overlap", overlap, sensible=0 <= overlap < 1)
        self.layout = Layout(tile_size_px, target_mpp, min_occupancy, tolerance)
        self.moving_distance, self.seed, self.overlap = moving_distance, seed, overlap

    @property
    def name(self) -> str:
        """A readable name for folders, such as ``jittered256-0.5mpp``."""
        return f"jittered{self.layout.tile_size_px}-{self.layout.target_mpp:g}mpp"

    def tile(self, slide: Slide, mask: np.ndarray, slide_id: str) -> TileTable:
        """Lay out, move and select tiles; see :meth:`GridTiler.tile`."""
        extent = self.layout.extent(slide)
        grid = grid_positions(extent, 1.0 - self.overlap)
        offsets = slide_generator(self.seed, slide_id).uniform(-1.0, 1.0, grid.shape)
        grid = np.clip(grid + offsets * self.moving_distance, 0.0, np.array(extent) - 1.0)
        return self.layout.select(slide, mask, slide_id, grid, overlap=self.overlap)
