"""Tiles at random places on tissue."""

from __future__ import annotations

import numpy as np

from gigakit.registry import TILERS
from gigakit.wsi.layout import Layout, require, slide_generator
from gigakit.wsi.slide import Slide
from gigakit.wsi.tiles import TileTable

# places drawn for each tile that is wanted, before a slide is taken to hold too little tissue
_DRAWS = 200


@TILERS.register_module()
class RandomTiler:
    """Draw places uniformly over a slide until enough of them hold enough tissue.

    For pretraining on the same number of tiles of every slide. Places follow from the seed and the
    slide's name alone, may overlap, and lie in reading order. A slide with very little tissue gives
    fewer.

    Args:
        tiles: wanted of each slide.
        seed: of the places.
        tile_size_px: side of a tile at the target resolution.
        target_mpp: µm/px.
        min_occupancy: fraction of a tile that must be tissue.
        tolerance: a level within this fraction of the target is read as it is.

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(
        self,
        *,
        tiles: int = 1000,
        seed: int = 0,
        tile_size_px: int = 256,
        target_mpp: float = 0.5,
        min_occupancy: float = 0.1,
        tolerance: float = 0.02,
    ) -> None:
        require("tiles", tiles, sensible=tiles >= 1)
        self.layout = Layout(tile_size_px, target_mpp, min_occupancy, tolerance)
        self.tiles, self.seed = tiles, seed

    @property
    def name(self) -> str:
        """A readable name for folders, such as ``random1000x256-0.5mpp``."""
        return f"random{self.tiles}x{self.layout.tile_size_px}-{self.layout.target_mpp:g}mpp"

    def tile(self, slide: Slide, mask: np.ndarray, slide_id: str) -> TileTable:
        """Draw and select tiles; see :meth:`GridTiler.tile`."""
        room = np.array(self.layout.extent(slide)) - 1.0
        generator = slide_generator(self.seed, slide_id)
        drawn = np.empty((0, 2))
        kept = np.empty((0, 2))
        while (room >= 0).all() and len(kept) < self.tiles and len(drawn) < _DRAWS * self.tiles:
            # the same draws whatever the number of tiles wanted
            more = generator.uniform(0.0, 1.0, (1024, 2)) * room
            drawn = np.concatenate([drawn, more])
            found = self.layout.select(slide, mask, slide_id, more)
            kept = np.concatenate([kept, found.grid])
        kept = kept[: self.tiles]
        order = np.lexsort((kept[:, 0], np.floor(kept[:, 1])))
        return self.layout.select(slide, mask, slide_id, kept[order], overlap=0.0, cells=len(drawn))
