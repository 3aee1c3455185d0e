"""A slide's tiles: where they lie, how much tissue they hold, and how they are read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from gigakit import __version__
from gigakit.core.errors import StoreError
from gigakit.core.files import atomic_path
from gigakit.wsi.resolution import LevelChoice, choose_level, read_window
from gigakit.wsi.slide import Slide

FORMAT = 1


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
    """

    slide_id: str
    coords: np.ndarray
    grid: np.ndarray
    occupancy: np.ndarray
    tile_size_px: int
    target_mpp: float
    footprint: tuple[float, float]
    attrs: dict[str, Any] = field(default_factory=dict)

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

    def save(self, path: Path) -> None:
        """Write the table as HDF5, atomically."""
        with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
            self.write_into(file)
            file.create_dataset("occupancy", data=self.occupancy)

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
            lengths = {name: len(array) for name, array in arrays.items()}
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
                **arrays,
            )
        except KeyError as error:
            raise StoreError(f"is no tile table: it has no {error}", where=path) from error


def open_store(path: Path) -> h5py.File:
    """Open an HDF5 file for reading.

    Raises:
        StoreError: the file is missing or damaged.
    """
    if not path.is_file():
        raise StoreError("no such file", where=path)
    try:
        return h5py.File(path, "r")
    except (PermissionError, BlockingIOError) as error:
        raise StoreError(f"cannot be opened: {error.strerror}", where=path) from error
    except OSError as error:
        raise StoreError(
            "is damaged or no HDF5 file", where=path, fix="remove it and run the command again"
        ) from error


def read_dataset(
    file: h5py.File, name: str, path: Path, *, columns: int | None = None
) -> np.ndarray:
    """Return a dataset's numbers: ``(N,)``, or ``(N, columns)``; ``(N, any)`` for -1.

    ``(1, N, columns)``, as some tools write, counts as ``(N, columns)``.

    Raises:
        StoreError: the file does not hold it, it has another form, or a value is not finite.
    """
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise StoreError(f"holds no dataset '{name}'", where=path)
    shape: tuple[int, ...] = found.shape or ()
    if columns is not None and len(shape) == 3 and shape[0] == 1:  # noqa: PLR2004
        shape = shape[1:]
    wanted = 1 if columns is None else 2
    fits = len(shape) == wanted and columns in (None, -1, shape[-1])
    if found.dtype.kind not in "fiu" or not fits:
        raise StoreError(f"its dataset '{name}' is {found.dtype} {found.shape}", where=path)
    try:
        values: np.ndarray = found[()].reshape(shape)
    except OSError as error:
        raise StoreError(f"its dataset '{name}' is damaged: {error}", where=path) from error
    if not np.isfinite(values).all():
        raise StoreError(f"its dataset '{name}' holds values that are not finite", where=path)
    return values


def _is_same(found: float, told: float) -> bool:
    return math.isclose(found, told, rel_tol=1e-6)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
