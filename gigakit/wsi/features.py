"""Feature files: the tile embeddings of one slide, with their places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gigakit.core.errors import StoreError
from gigakit.core.files import atomic_path
from gigakit.wsi.tiles import TileTable, open_store, read_dataset


@dataclass(frozen=True)
class FeatureSet:
    """The embeddings of one slide.

    Args:
        slide_id: the slide.
        features: ``(N, D)`` float32.
        coords: ``(N, 2)`` int64 level-0 px.
        grid: ``(N, 2)`` float64 positions in tiles.
    """

    slide_id: str
    features: np.ndarray
    coords: np.ndarray
    grid: np.ndarray


def write_features(
    path: Path, features: np.ndarray, table: TileTable, attrs: Mapping[str, Any] | None = None
) -> None:
    """Write embeddings beside coordinates and grid, atomically; CLAM and TRIDENT readers open it.

    Args:
        path: the file.
        features: ``(N, D)``, stored as contiguous float16.
        table: the N tiles.
        attrs: facts about the encoder.

    Raises:
        StoreError: the number of embeddings differs from that of tiles, or a value is not finite
            in float16.
    """
    if len(features) != len(table):
        raise StoreError(f"{len(features)} embeddings for {len(table)} tiles", where=path)
    with np.errstate(over="ignore"):
        half = np.asarray(features).astype(np.float16)
    if not np.isfinite(half).all():
        row = int(np.flatnonzero(~np.isfinite(half).all(axis=1))[0])
        raise StoreError(
            f"the embedding of tile {row} is not finite in float16 "
            f"(largest value {np.abs(features[row]).max():g})",
            where=path,
            fix="check the encoder's weights and its input normalisation",
        )
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.create_dataset("features", data=half)
        table.write_into(file)
        file.attrs.update(dict(attrs or {}))


def read_features(path: Path) -> FeatureSet:
    """Read a feature file.

    A file without ``grid`` (CLAM's, TRIDENT's) is fitted to the lattice that its coordinates' step
    ``patch_size_level0`` tells.

    Raises:
        StoreError: missing, damaged, of another form, not finite, or no way to tell positions.
    """
    with open_store(path) as file:
        features = read_dataset(file, "features", path, columns=-1).astype(np.float32)
        coords = read_dataset(file, "coords", path, columns=2)
        if "grid" in file:
            grid = read_dataset(file, "grid", path, columns=2)
        else:
            grid = _fitted_grid(coords, file["coords"].attrs.get("patch_size_level0"), path)
        slide_id = str(file.attrs.get("slide_id", path.stem))
    if not len(features) == len(coords) == len(grid):
        raise StoreError(
            f"{len(features)} features, {len(coords)} coords, {len(grid)} positions", where=path
        )
    return FeatureSet(slide_id, features, coords, np.asarray(grid, dtype=np.float64))


def _fitted_grid(coords: np.ndarray, step: Any, path: Path) -> np.ndarray:
    """Return positions in tiles of a foreign file's coordinates, whose origin is not known."""
    if step is None or not float(step) > 0:
        raise StoreError(
            "tells neither 'grid' nor the step 'patch_size_level0' of its coordinates",
            where=path,
            fix="embed the slide with gigakit, or add the attribute",
        )
    if not len(coords):
        return np.zeros((0, 2))
    grid: np.ndarray = (coords - coords.min(axis=0)) / float(step)
    return grid


def read_feature_shape(path: Path) -> tuple[int, int]:
    """Return the number of tiles and the width of a feature file without reading them.

    Raises:
        StoreError: missing, damaged, or no feature file.
    """
    with open_store(path) as file:
        if "features" not in file or file["features"].ndim != 2:  # noqa: PLR2004
            raise StoreError("holds no embeddings (N, D)", where=path)
        tiles, width = file["features"].shape
    return int(tiles), int(width)
