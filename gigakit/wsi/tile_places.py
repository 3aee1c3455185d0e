"""The tile file and overview picture that belong to a slide's features."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from gigakit.core.errors import StoreError
from gigakit.wsi.tiles import TileTable

# tile files round coordinates to whole px
_SAME_PX = 1.0
_DIGITS = 6


def tile_folders(features: Path) -> list[Path]:
    """Return the folders of tiles that lie in the same store as a folder of features."""
    return sorted(path for path in (features.absolute().parents[1] / "tiles").glob("*"))


def find_tiles(
    folders: Iterable[Path], slide_id: str, coords: np.ndarray, grid: np.ndarray
) -> Path | None:
    """Return the first tile file of a slide that has these very tiles.

    Args:
        folders: of tile files.
        slide_id: the slide.
        coords: ``(N, 2)`` level-0 px of the features' tiles.
        grid: ``(N, 2)`` their positions in tiles.
    """
    for folder in folders:
        path = folder / f"{slide_id}.h5"
        if not path.is_file():
            continue
        table = TileTable.load(path)
        expected = grid * np.array(table.footprint)
        if abs(expected - coords).max(initial=0.0) <= _SAME_PX and _rows(table, grid) is not None:
            return path
    return None


def tiles_at(path: Path, grid: np.ndarray) -> TileTable:
    """Return the table of the tiles at some places, in their order.

    Args:
        path: the slide's tile file.
        grid: ``(N, 2)`` positions in tiles.

    Raises:
        StoreError: a place has no tile there.
    """
    table = TileTable.load(path)
    rows = _rows(table, grid)
    if rows is None:
        raise StoreError("has other tiles than the features", where=path)
    return replace(
        table,
        coords=table.coords[rows],
        grid=table.grid[rows],
        occupancy=table.occupancy[rows],
        columns={name: values[rows] for name, values in table.columns.items()},
    )


def read_overview(tiles: Path) -> np.ndarray | None:
    """Return the overview ``(H, W, 3)`` uint8 RGB beside a slide's tile file, if there is one."""
    picture = cv2.imread(str(tiles.parent / "overview" / f"{tiles.stem}.jpg"))
    return None if picture is None else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _rows(table: TileTable, grid: np.ndarray) -> np.ndarray | None:
    known = {place: row for row, place in enumerate(map(tuple, table.grid.round(_DIGITS)))}
    rows = [known.get(place) for place in map(tuple, grid.round(_DIGITS))]
    return None if None in rows else np.array(rows, dtype=np.int64)
