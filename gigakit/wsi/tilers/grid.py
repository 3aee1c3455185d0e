"""Tiles on a regular grid."""

from __future__ import annotations

import numpy as np

from gigakit.registry import TILERS
from gigakit.wsi.layout import Layout, grid_positions, require
from gigakit.wsi.slide import Slide
from gigakit.wsi.tiles import TileTable


@TILERS.register_module()
class GridTiler:
    """Lay tiles row by row from the slide's top-left corner; keep those with enough tissue.

    Only tiles that lie wholly inside the slide count. Occupancy is the fraction of the tile's
    footprint that the tissue mask covers, exact at fractional borders, and a tile is kept when it
    is ``>= min_occupancy``.

    Args:
        tile_size_px: side of a tile at the target resolution; 256 in the paper.
        target_mpp: µm/px; 0.5 in the paper.
        min_occupancy: 0.1 in the paper.
        overlap: fraction of a tile that it shares with its neighbour, in [0, 1).
        tolerance: a level within this fraction of the target is read as it is.

    Raises:
        ConfigError: a value out of range.

    Source: Prov-GigaPath, Methods, preprocessing.
    Differs: the released tiler starts at the tissue's box and pads the slide; it keeps ``> 0.1``.
    """

    def __init__(
        self,
        *,
        tile_size_px: int = 256,
        target_mpp: float = 0.5,
        min_occupancy: float = 0.1,
        overlap: float = 0.0,
        tolerance: float = 0.02,
    ) -> None:
        require("overlap", overlap, sensible=0 <= overlap < 1)
        self.layout = Layout(tile_size_px, target_mpp, min_occupancy, tolerance)
        self.overlap = overlap

    @property
    def name(self) -> str:
        """A readable name for folders, such as ``grid256-0.5mpp``."""
        overlap = f"-overlap{self.overlap:g}" if self.overlap else ""
        return f"grid{self.layout.tile_size_px}-{self.layout.target_mpp:g}mpp{overlap}"

    def tile(self, slide: Slide, mask: np.ndarray, slide_id: str) -> TileTable:
        """Lay out and select tiles.

        Args:
            slide: the slide.
            mask: ``(H, W)`` bool, True = tissue, which covers the slide exactly.
            slide_id: its name.

        Raises:
            MissingMppError: the slide does not tell its resolution.
            SlideError: the slide is coarser than the target.
        """
        grid = grid_positions(self.layout.extent(slide), 1.0 - self.overlap)
        return self.layout.select(slide, mask, slide_id, grid, overlap=self.overlap)
