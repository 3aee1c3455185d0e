"""A slide's tiles: where they lie, how much tissue they hold, and how they are read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from gigakit import __version__
from gigakit.core.errors import StoreError
from gigakit.core.files import atomic_path
from gigakit.wsi.resolution import LevelChoice, choose_level, read_window
from gigakit.wsi.slide import Slide
from gigakit.wsi.stores import open_store, read_dataset

FORMAT = 1
_COLUMNS = "quality"
MASK = "tissue"


@dataclass(frozen=True)
class TileTable:
    """The tiles that a tiler kept of one slide.

    Args:
        slide_id: the slide.
        coords: ``(N, 2)`` int64, level-0 px of each tile's top-left corner, (x, y).
        grid: ``(N, 2)`` float64, position in tiles as laid out, (column, row).
        occupancy: ``(N,)`` float32, fraction of the tile that is tissue.
        tile_size_px: side of a tile in px of the target resolution.
        target_mpp: wanted µm/px.
        footprint: side of a tile in level-0 px, (x, y), exact.
        attrs: further facts: how the slide is read, its size, the rules applied.
        columns: ``(N,)`` float32 each, qualities of the tiles by name.
        rejected: ``(M, 2)`` float64, grid of tiles with too little tissue, for pictures; not saved.
    """

    slide_id: str
    coords: np.ndarray
    grid: np.ndarray
    occupancy: np.ndarray
    tile_size_px: int
    target_mpp: float
    footprint: tuple[float, float]
    attrs: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    rejected: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))

    def __len__(self) -> int:
        return len(self.coords)

    @classmethod
    def from_grid(cls, slide_id: str, grid: np.ndarray, *, target_mpp: float = 0.5) -> Self:
        """Return a table of tiles of 256 px at the target resolution, wholly tissue."""
        return cls(
            slide_id=slide_id,
            coords=np.rint(grid * 256).astype(np.int64),
            grid=np.asarray(grid, dtype=np.float64),
            occupancy=np.ones(len(grid), dtype=np.float32),
            tile_size_px=256,
            target_mpp=target_mpp,
            footprint=(256.0, 256.0),
        )

    def select(self, kept: np.ndarray) -> Self:
        """Return the table of some of the tiles.

        Args:
            kept: ``(N,)`` bool.
        """
        return replace(
            self,
            coords=self.coords[kept],
            grid=self.grid[kept],
            occupancy=self.occupancy[kept],
            columns={name: values[kept] for name, values in self.columns.items()},
        )

    def choice(self, slide: Slide) -> LevelChoice:
        """Return how the slide is read for these tiles.

        Raises:
            StoreError: the slide was opened at another resolution than it was tiled at.
        """
        tolerance = self.attrs.get("tolerance", 0.02)
        choice = choose_level(slide, self.target_mpp, tolerance=tolerance)
        downsample = slide.level_downsamples[choice.level]
        footprint = [self.tile_size_px * scale * downsample for scale in choice.scale]
        if not all(map(_is_same, footprint, self.footprint)):
            raise StoreError(
                f"its tiles are {self.footprint[0]:g} level-0 px wide, but at the resolution given "
                f"now they would be {footprint[0]:g}",
                where=slide.path,
                fix="open the slide with the mpp that it was tiled with",
            )
        return choice

    def read(self, slide: Slide, index: int) -> np.ndarray:
        """Read one tile, ``(tile_size_px, tile_size_px, 3)`` uint8 RGB.

        Its place comes from the grid, so rounding of coordinates does not add up.
        """
        x, y = (float(p) * side for p, side in zip(self.grid[index], self.footprint, strict=True))
        size = self.tile_size_px
        return read_window(slide, self.choice(slide), x, y, size, size)

    def save(self, path: Path, mask: np.ndarray | None = None) -> None:
        """Write the table as HDF5, atomically.

        Args:
            path: the file.
            mask: ``(H, W)`` bool, the tissue mask of the slide, kept beside the tiles.
        """
        with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
            self.write_into(file)
            file.create_dataset("occupancy", data=self.occupancy)
            for name, values in self.columns.items():
                file.create_dataset(f"{_COLUMNS}/{name}", data=values)
            if mask is not None:
                file.create_dataset(MASK, data=mask, compression="gzip", compression_opts=1)

    def write_into(self, file: h5py.File) -> None:
        """Write coordinates, grid and attributes; names are those that CLAM and TRIDENT read."""
        coords = file.create_dataset("coords", data=self.coords)
        file.create_dataset("grid", data=self.grid)
        width, height = self.attrs.get("slide_size", (0, 0))
        coords.attrs.update(
            {
                "patch_size": self.tile_size_px,
                "patch_size_level0": round(self.footprint[0]),
                "level0_width": width,
                "level0_height": height,
                "overlap": round(self.attrs.get("overlap", 0.0) * self.tile_size_px),
                "name": self.slide_id,
            }
        )
        file.attrs.update(
            {
                "format": FORMAT,
                "gigakit": __version__,
                "slide_id": self.slide_id,
                "tile_size_px": self.tile_size_px,
                "target_mpp": self.target_mpp,
                "footprint_level0_px": self.footprint,
                **self.attrs,
            }
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a table.

        Raises:
            StoreError: the file is missing, damaged, or not a tile table.
        """
        with open_store(path) as file:
            if file.attrs.get("format") != FORMAT:
                raise StoreError(
                    f"is no tile table of format {FORMAT}",
                    where=path,
                    fix="remove it and tile the slide again",
                )
            arrays = {
                "coords": read_dataset(file, "coords", path, columns=2),
                "grid": read_dataset(file, "grid", path, columns=2),
                "occupancy": read_dataset(file, "occupancy", path),
            }
            columns = {
                name: file[_COLUMNS][name][()].astype(np.float32) for name in file.get(_COLUMNS, ())
            }
            lengths = {name: len(array) for name, array in (arrays | columns).items()}
            if len(set(lengths.values())) != 1:
                raise StoreError(f"its datasets differ in length: {lengths}", where=path)
            attrs = {key: _plain(value) for key, value in file.attrs.items()}
        try:
            return cls(
                slide_id=attrs.pop("slide_id"),
                tile_size_px=attrs.pop("tile_size_px"),
                target_mpp=attrs.pop("target_mpp"),
                footprint=tuple(attrs.pop("footprint_level0_px")),
                attrs={k: v for k, v in attrs.items() if k not in ("format", "gigakit")},
                columns=columns,
                **arrays,
            )
        except KeyError as error:
            raise StoreError(f"is no tile table: it has no {error}", where=path) from error


def _is_same(found: float, told: float) -> bool:
    return math.isclose(found, told, rel_tol=1e-6)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
