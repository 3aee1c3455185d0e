"""Tiles read straight from their slides, and their views for pretraining."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch.utils.data import Dataset

from gigakit.core.errors import ConfigError, DamagedRegionError, SlideError, StoreError
from gigakit.data.open_slides import OpenSlides
from gigakit.data.tile_draws import (
    UnreadableTiles,
    ViewGenerator,
    draw_pixels,
    make_views,
    place_generator,
)
from gigakit.registry import AUGMENTATIONS, DATASETS
from gigakit.wsi.resolution import LevelChoice, choose_level, read_window
from gigakit.wsi.slide import Slide
from gigakit.wsi.stores import open_store, read_dataset
from gigakit.wsi.tiles import TileTable


@DATASETS.register_module()
class SlideTileViews(Dataset[dict[str, Any]]):
    """Tiles of a tiled cohort; one item is the views of one tile, read from its slide.

    Nothing is stored beside the slides: ``gigakit tile`` tells where their tiles lie. Everything
    random about an item follows from ``(seed, draw)``, its place and resolution too.

    Args:
        tiles: folder of ``<slide_id>.h5`` tile tables, as ``gigakit tile`` writes them; each tells
            where its slide lies.
        slide_ids: the slides to use; ``None`` takes every table of the folder, by name.
        tiles_per_slide: ``None`` makes every tile one item, so that an epoch visits each tile once;
            a number makes so many items of each slide, every one a tile drawn at random, so that
            large slides do not count more than small ones.
        tile_size_px: side of what is read around a tile's centre; ``None`` keeps the tiling's.
            Views of ``ExtendedContextCrops`` need 392.
        mpp: resolutions in µm/px, of which each draw takes one; of a slide that is coarser only
            those it has. None keeps the tiling's.
        jitter: farthest move of a tile's centre, over the side of the tiling's tiles.
        views: config from AUGMENTATIONS from a tile to its crops; ``MultiCrop`` by default.
        tissue_filter: config from AUGMENTATIONS that accepts a tile or not, such as
            ``TissueFilter``; ``None`` accepts every tile.
        reader: config from READERS; ``None`` chooses by the file.
        most_open: slides that each worker process keeps open.
        max_unreadable_share: share of the tiles that may be unreadable before the run stops; a
            slide that cannot be opened counts with all of its tiles.
        seed: seed of the places, the views, and the ``seed`` handed to the preprocessor.

    Raises:
        ConfigError: no folder, or impossible numbers.
        StoreError: no tile table, a damaged or missing one, or no tiles in them.

    Source: random tiles at several resolutions, Kaiko (Aben et al. 2024) and Midnight (Karasikov et
        al. 2025), whose tiles are not kept on a grid: here ``jitter=0.5``.
    """

    metainfo: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        *,
        tiles: str | None = None,
        slide_ids: Sequence[str] | None = None,
        tiles_per_slide: int | None = None,
        tile_size_px: int | None = None,
        mpp: Sequence[float] = (),
        jitter: float = 0.0,
        views: dict[str, Any] | None = None,
        tissue_filter: dict[str, Any] | None = None,
        reader: dict[str, Any] | None = None,
        most_open: int = 16,
        max_unreadable_share: float = 0.01,
        seed: int = 0,
    ) -> None:
        if tiles is None:
            raise ConfigError("no folder of tiles", where="SlideTileViews.tiles", fix="set it")
        for name, count in {
            "tiles_per_slide": tiles_per_slide, "tile_size_px": tile_size_px,
            "most_open": most_open,
        }.items():  # fmt: skip
            if count is not None and count < 1:
                raise ConfigError(
                    f"got {count}", where=f"SlideTileViews.{name}", fix="give 1 or more"
                )
        if jitter < 0 or not all(value > 0 for value in mpp):
            raise ConfigError(
                f"got jitter {jitter}, mpp {tuple(mpp)}",
                where="SlideTileViews",
                fix="give jitter 0 or more, and µm per pixel",
            )
        self.folder = Path(tiles)
        found, counts = _tables(self.folder, slide_ids)
        self.tables = [path for path, count in zip(found, counts, strict=True) if count]
        # tiles before each slide's own
        self.starts = np.cumsum([0, *(count for count in counts if count)])
        if not self.tables:
            raise StoreError("its tables hold no tiles", where=tiles, fix="tile other slides")
        self.tiles_per_slide, self.tile_size_px = tiles_per_slide, tile_size_px
        self.mpp, self.jitter = tuple(mpp), jitter
        self.views: ViewGenerator = AUGMENTATIONS.build(dict(views or {"type": "MultiCrop"}))
        self.tissue_filter = AUGMENTATIONS.build(dict(tissue_filter)) if tissue_filter else None
        self.slides = OpenSlides(reader, most_open)
        self.unreadable = UnreadableTiles(int(self.starts[-1]), max_unreadable_share, tiles)
        self.seed = seed

    def __len__(self) -> int:
        if self.tiles_per_slide is None:
            return int(self.starts[-1])
        return len(self.tables) * self.tiles_per_slide

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        """Return the views of one tile.

        Args:
            key: ``(index, draw)`` from a resumable sampler, or an index that is its own draw.

        Returns:
            ``global_crops`` (V, 3, S, S) uint8, ``local_crops`` (L, 3, s, s) uint8, ``seed``, and
            ``image_id``: the slide's name and the tile's number.

        Raises:
            StoreError: too many tiles cannot be read, or none passes the filter.
        """
        index, draw = key if isinstance(key, tuple) else (key, key)
        generator = place_generator(self.seed, draw)
        first = index % len(self)
        if self.tiles_per_slide is not None:
            first = self._tile_of(index % len(self.tables), generator)
        tile, pixels = draw_pixels(first, self._pick, self._read, generator, self.folder)
        return make_views(self.views, pixels, self.seed, draw, self._name(*self._place(tile)))

    def _pick(self, generator: np.random.Generator) -> int:
        """Draw a tile: of all, or of a slide drawn first."""
        if self.tiles_per_slide is None:
            return int(generator.integers(self.starts[-1]))
        return self._tile_of(int(generator.integers(len(self.tables))), generator)

    def _tile_of(self, slide: int, generator: np.random.Generator) -> int:
        return int(generator.integers(self.starts[slide], self.starts[slide + 1]))

    def _place(self, tile: int) -> tuple[int, int]:
        """Return a tile's slide, and its number there."""
        slide = int(np.searchsorted(self.starts, tile, side="right")) - 1
        return slide, tile - int(self.starts[slide])

    def _name(self, slide: int, number: int) -> str:
        return f"{self.tables[slide].stem}:{number}"

    def _read(self, tile: int, generator: np.random.Generator) -> np.ndarray | None:
        slide, number = self._place(tile)
        path, name = self.tables[slide], self._name(slide, number)
        if {path.stem, name} & self.unreadable.reasons.keys():
            return None
        try:
            table, opened = self.slides.get(path)
            choice = self._choose(table, opened, generator)
            size = self.tile_size_px or table.tile_size_px
            x, y = self._corner(table, opened, number, choice, size, generator)
            pixels = read_window(opened, choice, x, y, size, size)
        except DamagedRegionError as error:
            self.unreadable.add(name, error.what)
            return None
        except (SlideError, StoreError) as error:
            tiles = int(self.starts[slide + 1] - self.starts[slide])
            self.unreadable.add(path.stem, str(error), tiles)
            return None
        return pixels if self.tissue_filter is None or self.tissue_filter(pixels) else None

    def _choose(
        self, table: TileTable, slide: Slide, generator: np.random.Generator
    ) -> LevelChoice:
        """Return how a draw reads the slide: at one of the resolutions wanted that it has."""
        if not self.mpp:
            return table.choice(slide)
        tolerance = table.attrs.get("tolerance", 0.02)
        wanted = generator.permutation(len(self.mpp))
        for number in wanted[:-1]:
            try:
                return choose_level(slide, self.mpp[number], tolerance=tolerance)
            except SlideError:
                continue
        return choose_level(slide, self.mpp[wanted[-1]], tolerance=tolerance)

    def _corner(
        self,
        table: TileTable,
        slide: Slide,
        number: int,
        choice: LevelChoice,
        size: int,
        generator: np.random.Generator,
    ) -> np.ndarray:
        """Return the top-left corner (x, y) in level-0 px of what is read of a tile."""
        footprint = np.array(table.footprint)
        step = np.array(choice.scale) * slide.level_downsamples[choice.level]
        side = size * step
        move = (2 * generator.random(2) - 1) * self.jitter * footprint
        corner: np.ndarray = table.grid[number] * footprint + (footprint - side) / 2 + move
        if self.jitter or not np.allclose(side, footprint):
            # whole px of what is read, which is faster, and on the slide where it is large enough
            free = np.maximum(np.array(slide.level_dimensions[0]) - side, 0)
            corner = np.clip(np.rint(corner / step), 0, np.floor(free / step + 1e-6)) * step
        return corner


def _tables(folder: Path, slide_ids: Sequence[str] | None) -> tuple[list[Path], list[int]]:
    """Return the tile tables of slides, and how many tiles each holds."""
    if slide_ids is None:
        paths = sorted(folder.glob("*.h5"))
    else:
        paths = [folder / f"{name}.h5" for name in slide_ids]
    if not paths:
        raise StoreError(
            "holds no tile tables (*.h5)", where=folder, fix="make them with gigakit tile"
        )
    counts = []
    for path in paths:
        with open_store(path) as file:
            counts.append(len(read_dataset(file, "occupancy", path)))
    return paths, counts
