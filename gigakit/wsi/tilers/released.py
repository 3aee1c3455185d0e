"""The tiles that Prov-GigaPath's released tiler chooses."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gigakit.core.errors import SlideError
from gigakit.registry import TILERS
from gigakit.wsi.layout import require
from gigakit.wsi.slide import Slide
from gigakit.wsi.tiles import TileTable

_BINS = 256
_WHITE = 255


@TILERS.register_module()
class ReleasedTiler:
    """Choose the tiles that Prov-GigaPath's released tiler chooses; ``gigapath_compat``.

    It tiles one level of the file, whatever its resolution; the mask of the segmenter is not used.
    Luminance is the mean of RGB in float16, and the threshold Otsu's over 256 bins of the coarsest
    level. The box of what is darker, on the level, is padded to whole tiles with white, half of the
    padding before it, so that tiles may begin outside the slide. A tile is kept when more than
    ``min_occupancy`` of it is darker than the threshold.

    Its faults, which are off unless asked for:

    - ``swapped_origin``: the box's corner is added as (y, x), so the coordinates are those of other
      tissue unless the box lies on the diagonal;
    - ``half_precision``: occupancy is summed in float16; it is inf from 65,520 dark px (a full tile
      of 256 px), and near the threshold rounding decides.

    Two others do not occur here: it holds the tissue's box in memory several times over, and takes
    slides that were written in part for finished.

    Args:
        level: level of the file that is tiled.
        tile_size_px: side of a tile in px of that level.
        min_occupancy: strict lower limit.
        swapped_origin: add the box's corner as the released code does.
        half_precision: sum occupancy as the released code does.

    Raises:
        ConfigError: a value out of range.

    Source: prov-gigapath, gigapath/preprocessing (``tile_one_slide``).
    """

    def __init__(
        self,
        *,
        level: int = 0,
        tile_size_px: int = 256,
        min_occupancy: float = 0.1,
        swapped_origin: bool = False,
        half_precision: bool = False,
    ) -> None:
        require("level", level, sensible=level >= 0)
        require("tile_size_px", tile_size_px, sensible=tile_size_px >= 1)
        require("min_occupancy", min_occupancy, sensible=0 <= min_occupancy < 1)
        self.level, self.tile_size_px, self.min_occupancy = level, tile_size_px, min_occupancy
        self.swapped_origin, self.half_precision = swapped_origin, half_precision

    @property
    def name(self) -> str:
        """A readable name for folders, such as ``released256-level0``."""
        return f"released{self.tile_size_px}-level{self.level}"

    def tile(self, slide: Slide, mask: np.ndarray, slide_id: str) -> TileTable:  # noqa: ARG002 - it makes its own
        """Lay out and select tiles.

        Args:
            slide: the slide.
            mask: not used.
            slide_id: its name.

        Raises:
            MissingMppError: the slide does not tell its resolution.
            SlideError: it has no such level.
        """
        if self.level >= len(slide.level_dimensions):
            raise SlideError(
                f"has {len(slide.level_dimensions)} levels, and level {self.level} is to be tiled",
                where=slide.path,
                fix="name a level that it has",
            )
        downsample = slide.level_downsamples[self.level]
        mpp = slide.require_mpp()
        coarsest = slide.read(len(slide.level_dimensions) - 1, 0, 0, *slide.level_dimensions[-1])
        grey = luminance(coarsest)
        threshold = otsu_threshold(grey)
        box = _box(grey < threshold, slide.level_downsamples[-1], downsample)
        offsets, occupancy = self._measure(slide, box, threshold)
        kept = occupancy > np.float16(self.min_occupancy)
        corner = np.array(box[:2][::-1] if self.swapped_origin else box[:2])
        coords = (downsample * offsets + corner).astype(np.int64)
        footprint = (self.tile_size_px * downsample,) * 2
        return TileTable(
            slide_id=slide_id,
            coords=coords[kept],
            grid=coords[kept] / np.array(footprint),
            occupancy=occupancy[kept].astype(np.float32),
            tile_size_px=self.tile_size_px,
            target_mpp=max(mpp) * downsample,
            footprint=footprint,
            attrs={
                "slide_size": slide.level_dimensions[0],
                "effective_mpp": tuple(axis * downsample for axis in mpp),
                "level": self.level,
                "resampling": "none",
                "mpp_source": slide.mpp_source,
                "min_occupancy": self.min_occupancy,
                "cells": len(coords),
            },
            rejected=(coords / np.array(footprint))[~kept & (occupancy > 0)],
        )

    def _measure(
        self, slide: Slide, box: Box, threshold: np.float16
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return tiles' corners from the box's corner ``(N, 2)`` in px of the level, and occupancy.

        A row of tiles is held at a time.
        """
        side = self.tile_size_px
        (left, right), (top, bottom) = (_padding(n, side) for n in (box.width, box.height))
        columns, rows = (left + box.width + right) // side, (top + box.height + bottom) // side
        downsample = slide.level_downsamples[self.level]
        x, y = int(box.x / downsample), int(box.y / downsample)
        occupancy = []
        for row in range(rows):
            strip = np.full((side, columns * side, 3), _WHITE, dtype=np.uint8)
            first = max(0, row * side - top)
            last = min(box.height, (row + 1) * side - top)
            begin = first + top - row * side
            strip[begin : begin + last - first, left : left + box.width] = slide.read(
                self.level, x, y + first, box.width, last - first
            )
            dark = luminance(strip) < threshold
            tiles = np.ascontiguousarray(dark.reshape(side, columns, side).swapaxes(0, 1))
            occupancy.append(_occupancy(tiles, half_precision=self.half_precision))
        down, across = np.divmod(np.arange(rows * columns), max(columns, 1))
        offsets = np.stack([across * side - left, down * side - top], axis=1)
        return offsets, np.concatenate(occupancy or [np.zeros(0)])


class Box(NamedTuple):
    """Where tissue is: corner in level-0 px, size in px of the tiled level."""

    x: int
    y: int
    width: int
    height: int


def luminance(image: np.ndarray) -> np.ndarray:
    """Return the mean of RGB ``(H, W)`` float16, computed in float16, of ``(H, W, 3)`` uint8."""
    return np.asarray(np.mean(image, axis=2, dtype=np.float16))


def otsu_threshold(values: np.ndarray) -> np.float16:
    """Return Otsu's threshold of float16 values: the centre of one of 256 bins, in float16.

    Source: scikit-image's ``threshold_otsu``, whose histogram keeps the values' precision.
    Differs: where float16 cannot tell the bins apart that fails; here nothing is darker.
    """
    low, high = values.min(), values.max()
    if (np.diff(np.linspace(low, high, _BINS + 1, dtype=np.float16)) <= 0).any():
        return np.float16(low)
    counts, edges = np.histogram(values.reshape(-1), _BINS)
    centres = (edges[1:] + edges[:-1]) / 2
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    sums = counts * centres.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_below = np.cumsum(sums) / below
        mean_above = (np.cumsum(sums[::-1]) / above[::-1])[::-1]
        between = below[:-1] * above[1:] * (mean_below[:-1] - mean_above[1:]) ** 2
    return np.float16(centres[int(np.nanargmax(between))])


def _box(dark: np.ndarray, from_downsample: float, to_downsample: float) -> Box:
    """Return the box of all dark px; empty where there are none. Each number is cut to whole px."""
    if not dark.any():
        return Box(0, 0, 0, 0)
    (top, bottom), (left, right) = (
        np.flatnonzero(dark.any(axis=axis))[[0, -1]].tolist() for axis in (1, 0)
    )
    x, y, width, height = (
        int(from_downsample * value) for value in (left, top, right - left + 1, bottom - top + 1)
    )
    return Box(x, y, int(width / to_downsample), int(height / to_downsample))


def _padding(length: int, side: int) -> tuple[int, int]:
    padding = -length % side
    return padding // 2, padding - padding // 2


def _occupancy(dark: np.ndarray, *, half_precision: bool) -> np.ndarray:
    """Return the share of dark px of tiles ``(N, H, W)``."""
    with np.errstate(over="ignore"):
        precision = np.float16 if half_precision else np.float64
        return np.asarray(dark.mean(axis=(1, 2), dtype=precision))
