"""Feature files: the tile embeddings of one slide, with their places."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gigakit.core.errors import StoreError
from gigakit.core.files import atomic_path
from gigakit.wsi.lattice import foreign_grid
from gigakit.wsi.stores import open_store, read_dataset
from gigakit.wsi.tiles import TileTable

LOGGER = logging.getLogger(__name__)


# how sub-folders by hash are named, as a pattern
SUBFOLDER = "[0-9a-f][0-9a-f]"


@dataclass(frozen=True)
class FeatureSet:
    """The embeddings of one slide.

    Args:
        slide_id: the slide.
        features: ``(N, D)`` float32.
        coords: ``(N, 2)`` level-0 px, or the unit of a file made elsewhere.
        grid: ``(N, 2)`` float64 positions in tiles.
    """

    slide_id: str
    features: np.ndarray
    coords: np.ndarray
    grid: np.ndarray

    def __post_init__(self) -> None:
        if not len(self.features) == len(self.coords) == len(self.grid):
            raise StoreError(
                f"{len(self.features)} features, {len(self.coords)} coords, "
                f"{len(self.grid)} positions",
                where=self.slide_id,
            )


class FeatureWriter:
    """Takes embeddings batch by batch, in the order of the tiles; see :func:`feature_writer`."""

    def __init__(self, file: h5py.File, tiles: int, path: Path) -> None:
        self._file, self._tiles, self._path = file, tiles, path
        self.written = 0

    def append(self, half: np.ndarray) -> None:
        """Write the next embeddings, ``(B, D)`` float16 of :func:`as_float16`.

        Raises:
            StoreError: more embeddings than tiles.
        """
        end = self.written + len(half)
        if end > self._tiles:
            self._refuse(end)
        if "features" not in self._file:
            shape = (self._tiles, half.shape[1])
            self._file.create_dataset("features", shape=shape, dtype=np.float16)
        self._file["features"][self.written : end] = half
        self.written = end

    def mark_bad(self, tiles: Sequence[int]) -> None:
        """Write which tiles could not be read, so that readers leave them out."""
        bad = np.zeros(self._tiles, dtype=bool)
        bad[list(tiles)] = True
        self._file.create_dataset("bad", data=bad)
        self._file.attrs["bad_tiles"] = len(tiles)

    def finish(self) -> None:
        """Check that every tile has its embedding.

        Raises:
            StoreError: embeddings are missing.
        """
        if self.written != self._tiles:
            self._refuse(self.written)

    def _refuse(self, count: int) -> None:
        raise StoreError(f"{count} embeddings for {self._tiles} tiles", where=self._path)


def feature_path(folder: Path, slide_id: str, *, subfolders: bool = False) -> Path:
    """Return where a slide's feature file goes.

    Args:
        folder: of the cohort's features.
        slide_id: the slide.
        subfolders: into one of 256 folders by the SHA-256 of its name, so that no folder of a very
            large cohort holds too many files; other tools expect them flat.
    """
    if not subfolders:
        return folder / f"{slide_id}.h5"
    return folder / hashlib.sha256(slide_id.encode()).hexdigest()[:2] / f"{slide_id}.h5"


def as_float16(batch: np.ndarray, first: int, where: Path) -> np.ndarray:
    """Return embeddings ``(B, D)`` as float16.

    Args:
        batch: the embeddings.
        first: number of the first one's tile, for the message.
        where: the file that they are for.

    Raises:
        StoreError: a value is not finite in float16.
    """
    with np.errstate(over="ignore"):
        half = np.asarray(batch).astype(np.float16)
    if not np.isfinite(half).all():
        row = int(np.flatnonzero(~np.isfinite(half).all(axis=1))[0])
        raise StoreError(
            f"the embedding of tile {first + row} is not finite in float16 "
            f"(largest value {np.abs(batch[row]).max():g})",
            where=where,
            fix="check the encoder's weights and its input normalisation",
        )
    return half


@contextlib.contextmanager
def feature_writer(
    path: Path, table: TileTable, attrs: Mapping[str, Any] | None = None
) -> Iterator[FeatureWriter]:
    """Yield what takes a slide's embeddings as they come; the file appears whole or not at all.

    Embeddings (contiguous float16), coordinates and grid lie side by side; CLAM's and TRIDENT's
    readers open it.

    Args:
        path: the file.
        table: the N tiles.
        attrs: facts about the encoder.

    Raises:
        StoreError: the number of embeddings differs from that of tiles.
    """
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        table.write_into(file)
        file.attrs.update(dict(attrs or {}))
        writer = FeatureWriter(file, len(table), path)
        yield writer
        writer.finish()


def write_features(
    path: Path, features: np.ndarray, table: TileTable, attrs: Mapping[str, Any] | None = None
) -> None:
    """Write embeddings ``(N, D)`` at once, as :func:`feature_writer` does."""
    with feature_writer(path, table, attrs) as writer:
        writer.append(as_float16(features, 0, path))


def read_features(
    path: Path, *, step: float | None = None, places: Path | None = None
) -> FeatureSet:
    """Read a feature file: gigakit's, CLAM's, TRIDENT's or the PANDA release's.

    Args:
        path: HDF5 with ``features`` ``(N, D)`` or ``(1, N, D)``, ``coords`` and perhaps ``grid``;
            tiles that ``bad`` marks are left out.
        step: side of a tile in the unit of ``coords``, where the file does not tell it.
        places: another HDF5 file, whose coordinates count instead.

    Raises:
        StoreError: missing, damaged, of another form, not finite, or no way to tell positions.
    """
    with open_store(path) as file:
        features = read_dataset(file, "features", path, columns=-1).astype(np.float32)
        slide_id = str(file.attrs.get("slide_id", path.stem))
        bad = np.asarray(file["bad"], dtype=bool) if "bad" in file else None
    coords, grid = read_places(places or path, step=step)
    if bad is not None and len(bad) == len(features) == len(coords):
        features, coords, grid = features[~bad], coords[~bad], grid[~bad]
    return FeatureSet(slide_id, features, coords, grid)


def read_embeddings(path: Path) -> np.ndarray:
    """Return the embeddings ``(N, D)`` float32 of a feature file, for which places do not matter.

    Raises:
        StoreError: missing, damaged, of another form, or not finite.
    """
    with open_store(path) as file:
        features = read_dataset(file, "features", path, columns=-1).astype(np.float32)
        bad = np.asarray(file["bad"], dtype=bool) if "bad" in file else None
    return features[~bad] if bad is not None and len(bad) == len(features) else features


def read_places(path: Path, *, step: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates ``(N, 2)`` and positions in tiles ``(N, 2)`` of an HDF5 file's tiles.

    gigakit's files hold ``grid``. Others are fitted to the lattice of their coordinates, whose
    step is the one given, ``patch_size_level0`` (TRIDENT), or ``patch_size`` times ``downsample``
    (CLAM).

    Raises:
        StoreError: as :func:`read_features`.
    """
    with open_store(path) as file:
        coords = read_dataset(file, "coords", path, columns=2)
        if "grid" in file:
            grid = read_dataset(file, "grid", path, columns=2)
            return coords, np.asarray(grid, dtype=np.float64)
        told = dict(file["coords"].attrs)
    return coords, foreign_grid(coords, told, step=step, where=path)


def read_feature_shape(path: Path) -> tuple[int, int]:
    """Return the number of tiles, bad ones left out, and the width, without reading them.

    Raises:
        StoreError: missing, damaged, or no feature file.
    """
    with open_store(path) as file:
        shape: tuple[int, ...] = file["features"].shape if "features" in file else ()
        bad = int(file.attrs.get("bad_tiles", 0))
    if len(shape) == 3 and shape[0] == 1:  # noqa: PLR2004
        shape = shape[1:]
    if len(shape) != 2:  # noqa: PLR2004
        raise StoreError("holds no embeddings (N, D)", where=path)
    return int(shape[0]) - bad, int(shape[1])


def holds_features(path: Path, table: TileTable) -> bool:
    """Tell whether a feature file is whole and of these very tiles."""
    if not path.is_file():
        return False
    try:
        read_feature_shape(path)
        with open_store(path) as file:
            tiles = len(file["features"])
            coords = read_dataset(file, "coords", path, columns=2)
            same = file.attrs.get("source_mtime_ns") == table.attrs.get("source_mtime_ns")
    except StoreError as error:
        LOGGER.warning("%s; it is made anew", error)
        return False
    return bool(same) and tiles == len(table) and np.array_equal(coords, table.coords)
