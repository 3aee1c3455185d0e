"""Quality of a slide's tiles: columns that tell what to leave out, without tiling again."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from gigakit.core.errors import ConfigError, DamagedRegionError
from gigakit.wsi.resolution import choose_level, read_window
from gigakit.wsi.slide import Slide
from gigakit.wsi.tiles import TileTable

LOGGER = logging.getLogger(__name__)

# px of the slide's level, and of the image made of them, that are held at once
_SOURCE_PIXELS = 16_000_000
_IMAGE_PIXELS = 2_000_000


class Quality(Protocol):
    """A number for each tile, from an image of the slide.

    Attributes:
        column: names the number in the tile table.
        mpp: µm/px of the image; ``None`` takes the one that the tissue mask comes from.
    """

    column: str
    mpp: float | None

    def measure(self, image: np.ndarray, corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Return ``(N,)`` numbers of tiles.

        Args:
            image: ``(H, W, 3)`` uint8 RGB.
            corners: ``(N, 2)`` int, the tiles' top-left px, (x, y).
            size: width and height of a tile in px.
        """


def measure_qualities(
    slide: Slide, table: TileTable, qualities: Sequence[Quality], mask_image: np.ndarray
) -> dict[str, np.ndarray]:
    """Return a column ``(N,)`` float32 for each quality.

    Tiles lie on the image to its nearest px. Where a region is damaged, what needs more than the
    mask's image is NaN.

    Args:
        slide: the open slide.
        table: its N tiles.
        qualities: what to measure.
        mask_image: ``(H, W, 3)`` uint8 RGB that covers the slide exactly.
    """
    if not len(table):
        return {quality.column: np.zeros(0, dtype=np.float32) for quality in qualities}
    width, height = slide.level_dimensions[0]
    step = np.array([width / mask_image.shape[1], height / mask_image.shape[0]])
    columns = {}
    for quality in qualities:
        if quality.mpp is None:
            corners, size = _on_image(table, np.arange(len(table)), step)
            column = quality.measure(mask_image, corners, size)
        else:
            column = _measure_in_bands(slide, table, quality, max(quality.mpp, table.target_mpp))
        columns[quality.column] = column.astype(np.float32)
    return columns


def within_limits(
    table: TileTable, limits: Mapping[str, Sequence[float]]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Tell which tiles keep to all limits, and for each column which do not.

    Args:
        table: N tiles with columns of quality.
        limits: the least and the largest value, by column; NaN is beyond them.

    Returns:
        ``(N,)`` bool, and ``(N,)`` bool for each column.
    """
    beyond = {
        name: ~((table.columns[name] >= least) & (table.columns[name] <= most))
        for name, (least, most) in limits.items()
    }
    kept = np.ones(len(table), dtype=bool)
    for marked in beyond.values():
        kept &= ~marked
    return kept, beyond


def check_limits(limits: Mapping[str, object], columns: Sequence[str]) -> None:
    """Refuse limits that are no pair of least and largest value of a column.

    Raises:
        ConfigError: such a limit.
    """
    for name, limit in limits.items():
        where = f"quality_limits.{name}"
        if name not in columns:
            measured = ", ".join(sorted(columns)) or "nothing"
            raise ConfigError(
                f"no such column: preparation.quality measures {measured}",
                where=where,
                fix="name one of these, or add what measures it",
            )
        numbers = list(limit) if isinstance(limit, Sequence) and not isinstance(limit, str) else []
        fits = len(numbers) == 2 and all(isinstance(n, int | float) for n in numbers)  # noqa: PLR2004
        if not fits or not numbers[0] <= numbers[1]:
            raise ConfigError(f"is {limit!r}", where=where, fix="give [least, largest]")


def _measure_in_bands(slide: Slide, table: TileTable, quality: Quality, mpp: float) -> np.ndarray:
    choice = choose_level(slide, mpp)
    downsample = slide.level_downsamples[choice.level]
    step = np.array(choice.scale) * downsample
    column = np.full(len(table), np.nan)
    order = np.argsort(table.grid[:, 1], kind="stable")
    width = slide.level_dimensions[choice.level][0]
    across, down = choice.scale
    rows = min(_SOURCE_PIXELS / (width * down), _IMAGE_PIXELS / (width / across))
    tops = (table.grid[order, 1] * table.footprint[1] / step[1]) // max(rows, 1.0)
    for tiles in np.split(order, np.flatnonzero(np.diff(tops)) + 1):
        _measure_band(slide, table, quality, tiles, column, mpp)
    return column


def _measure_band(
    slide: Slide,
    table: TileTable,
    quality: Quality,
    tiles: np.ndarray,
    column: np.ndarray,
    mpp: float,
) -> None:
    """Measure tiles that lie near each other; halves of them, if something between is damaged."""
    choice = choose_level(slide, mpp)
    step = np.array(choice.scale) * slide.level_downsamples[choice.level]
    corners, size = _on_image(table, tiles, step)
    origin, end = corners.min(axis=0), corners.max(axis=0) + size
    try:
        image = read_window(slide, choice, *(origin * step).tolist(), *(end - origin).tolist())
    except DamagedRegionError as error:
        if len(tiles) == 1:
            LOGGER.debug("%s: its %s is not measured", error, quality.column)
            return
        for half in np.array_split(tiles, 2):
            _measure_band(slide, table, quality, half, column, mpp)
        return
    column[tiles] = quality.measure(image, corners - origin, size)


def _on_image(
    table: TileTable, tiles: np.ndarray, step: np.ndarray
) -> tuple[np.ndarray, tuple[int, int]]:
    """Return tiles' corners and size in px of an image whose px have ``step`` level-0 px."""
    footprint = np.array(table.footprint)
    corners = np.rint(table.grid[tiles] * footprint / step).astype(np.int64)
    across, down = np.maximum(1, np.rint(footprint / step).astype(int)).tolist()
    return corners, (across, down)
