"""Stored tiles, and their views for pretraining."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch.utils.data import Dataset

from gigakit.core.errors import ConfigError, DamagedRegionError
from gigakit.data.tile_draws import (
    UnreadableTiles,
    ViewGenerator,
    draw_pixels,
    make_views,
    place_generator,
)
from gigakit.data.tile_files import open_tile_files
from gigakit.data.tile_table import read_tile_table, select_split
from gigakit.registry import AUGMENTATIONS, DATASETS
from gigakit.wsi.image_decoding import decode_image

LOGGER = logging.getLogger(__name__)


@DATASETS.register_module()
class TileImages(Dataset[dict[str, Any]]):
    """Tiles stored as images; one item is the views of one tile.

    Everything random about an item follows from ``(seed, draw)``, so it is the same in whatever
    worker, batch or resumed run it is read. A tile that cannot be read, or does not pass the
    filter, is replaced by another one, drawn from the same seed.

    Args:
        root: a folder of images (its sub-folders too), a ``.zip``, a ``.tar``, or a folder or
            pattern of ``.tar`` shards, such as ``gigakit pack`` writes.
        table: CSV with a column ``tile``, the path inside of the root, and possibly ``split``;
            ``None`` takes every image of the root, by name.
        split: which tiles of the table, ``valid`` and ``validation`` being ``val``; ``None`` takes
            all of them.
        views: config from AUGMENTATIONS from a tile to its crops; ``MultiCrop`` by default.
        tissue_filter: config from AUGMENTATIONS that accepts a tile or not, such as
            ``TissueFilter``; ``None`` accepts every tile.
        views_per_tile: times an epoch visits each tile.
        smallest_tile_px: a tile with a shorter side counts as unreadable. One that is larger than
            that, yet smaller than a global view, is enlarged by it, which is told once.
        max_unreadable_share: share of the tiles that may be unreadable before the run stops.
        seed: seed of the views and of the ``seed`` handed to the preprocessor.

    Raises:
        ConfigError: no tiles there, a table or split that does not fit, or impossible numbers.
        StoreError: a damaged archive.
    """

    metainfo: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        *,
        root: str | None = None,
        table: str | None = None,
        split: str | None = None,
        views: dict[str, Any] | None = None,
        tissue_filter: dict[str, Any] | None = None,
        views_per_tile: int = 1,
        smallest_tile_px: int = 32,
        max_unreadable_share: float = 0.01,
        seed: int = 0,
    ) -> None:
        if root is None:
            raise ConfigError("no folder of tiles", where="TileImages.root", fix="set it")
        for name, count in {
            "views_per_tile": views_per_tile, "smallest_tile_px": smallest_tile_px,
        }.items():  # fmt: skip
            if count < 1:
                raise ConfigError(f"got {count}", where=f"TileImages.{name}", fix="give 1 or more")
        if split is not None and table is None:
            raise ConfigError(
                f"split '{split}' without a table", where="TileImages.split", fix="give table too"
            )
        self.files = open_tile_files(Path(root))
        self.names = self.files.names
        if table is not None:
            rows = select_split(read_tile_table(Path(table), self.files), split, Path(table))
            self.names = [row.tile for row in rows]
        self.views: ViewGenerator = AUGMENTATIONS.build(dict(views or {"type": "MultiCrop"}))
        self.tissue_filter = AUGMENTATIONS.build(dict(tissue_filter)) if tissue_filter else None
        self.views_per_tile, self.smallest_tile_px = views_per_tile, smallest_tile_px
        self.unreadable = UnreadableTiles(len(self.names), max_unreadable_share, root)
        self.seed = seed
        self._told_small = False

    def __len__(self) -> int:
        return len(self.names) * self.views_per_tile

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        """Return the views of one tile.

        Args:
            key: ``(index, draw)`` from a resumable sampler, or an index that is its own draw.

        Returns:
            ``global_crops`` (V, 3, S, S) uint8, ``local_crops`` (L, 3, s, s) uint8, ``seed``, and
            ``image_id``, the tile's name.

        Raises:
            StoreError: too many tiles cannot be read, or none passes the filter.
        """
        index, draw = key if isinstance(key, tuple) else (key, key)
        tile, pixels = draw_pixels(
            index % len(self.names),
            lambda generator: int(generator.integers(len(self.names))),
            self._read,
            place_generator(self.seed, draw),
            self.files.root,
        )
        item = make_views(self.views, pixels, self.seed, draw, self.names[tile])
        self._tell_small(pixels, item)
        return item

    def _read(self, tile: int, _generator: np.random.Generator) -> np.ndarray | None:
        name = self.names[tile]
        if name in self.unreadable.reasons:
            return None
        try:
            pixels = decode_image(self.files.read(name))
        except DamagedRegionError as error:
            self.unreadable.add(name, error.what)
            return None
        height, width = pixels.shape[:2]
        if min(height, width) < self.smallest_tile_px:
            least = self.smallest_tile_px
            self.unreadable.add(name, f"has {width} x {height} px, under {least} px")
            return None
        return pixels if self.tissue_filter is None or self.tissue_filter(pixels) else None

    def _tell_small(self, pixels: np.ndarray, item: dict[str, Any]) -> None:
        size = item["global_crops"].shape[-1]
        if min(pixels.shape[:2]) < size and not self._told_small:
            self._told_small = True
            LOGGER.warning(
                "%s: '%s' has %d x %d px; views of %d px are enlarged", self.files.root,
                item["image_id"], pixels.shape[1], pixels.shape[0], size,
            )  # fmt: skip
