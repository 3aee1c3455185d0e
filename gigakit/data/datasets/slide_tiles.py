"""The pixels of one slide's tiles."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from gigakit.core.errors import DamagedRegionError
from gigakit.registry import AUGMENTATIONS, DATASETS
from gigakit.wsi.slide import Slide, open_slide
from gigakit.wsi.tiles import TileTable

LOGGER = logging.getLogger(__name__)


@DATASETS.register_module()
class SlideTiles(Dataset[tuple[Tensor, bool]]):
    """Read, transform and return the tiles of a slide, in the order of its tile table.

    A tile that is damaged comes as zeros and is marked; the rest of the slide is read.

    The slide is opened on the first read, so that each worker process has its own handle.

    Args:
        path: the slide.
        table: what its tiler laid out.
        transform: config from AUGMENTATIONS, from ``(H, W, 3)`` uint8 to a tensor.
        reader: config from READERS; ``None`` chooses by the file.
        mpp: resolution in µm/px where the slide does not tell it.
        index_folder: where the places of slides' tiles are kept; ``None`` keeps nothing.
    """

    def __init__(
        self,
        *,
        path: Path,
        table: TileTable,
        transform: dict[str, Any],
        reader: dict[str, Any] | None = None,
        mpp: float | None = None,
        index_folder: Path | None = None,
    ) -> None:
        self.path = path
        self.table = table
        self.transform = AUGMENTATIONS.build(dict(transform))
        self.reader = reader
        self.mpp = mpp
        self.index_folder = index_folder
        self._slide: Slide | None = None

    def __len__(self) -> int:
        return len(self.table.coords)

    def __getitem__(self, index: int) -> tuple[Tensor, bool]:
        """Return tile ``index`` as the transform leaves it, and whether it is damaged.

        Raises:
            UnreadableSlideError: the slide as a whole cannot be read.
        """
        if self._slide is None:
            self._slide = open_slide(
                self.path, reader=self.reader, mpp=self.mpp, index_folder=self.index_folder
            )
        try:
            pixels, bad = self.table.read(self._slide, index), False
        except DamagedRegionError as error:
            LOGGER.info("tile %d is left out: %s", index, error)
            size = self.table.tile_size_px
            pixels, bad = np.zeros((size, size, 3), dtype=np.uint8), True
        tile: Tensor = self.transform(pixels)
        return tile, bad
