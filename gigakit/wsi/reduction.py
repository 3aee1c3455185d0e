"""A whole slide at a coarse resolution."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np

from gigakit.core.errors import DamagedRegionError, UnreadableSlideError
from gigakit.wsi.footprints import Footprints
from gigakit.wsi.slide import SCALED_STEPS, Slide

# source pixels read at once while a whole level is reduced (12 MB of RGB), and at most
_STRIP_PIXELS = 4_000_000
_LARGEST_STRIP_PIXELS = 64_000_000
# of these, px that are floating point at once: few, so that their memory is used again
_FLOAT_PIXELS = 300_000
_LEAST_RESCUED = 16
_MOST_DAMAGED = 0.01
_WHITE = 255
LOGGER = logging.getLogger(__name__)
_Read = Callable[[int, int, int, int], np.ndarray]


class Reduced(NamedTuple):
    """A whole slide, reduced.

    Args:
        image: ``(H, W, 3)`` uint8 RGB that covers the slide exactly.
        mpp: its µm/px, (x, y).
        damaged_share: share of it that could not be read, and is white.
    """

    image: np.ndarray
    mpp: tuple[float, float]
    damaged_share: float


def read_reduced(slide: Slide, target_mpp: float) -> Reduced:
    """Read the whole slide at about a coarse resolution, without holding a level in memory.

    The coarsest level that is finer than the target (or the coarsest of all) is reduced by area,
    strip by strip, to the whole number of px nearest the target. Where a reader decodes at reduced
    size, that comes first. What is damaged is white, unless it is over a hundredth of the slide.

    Args:
        slide: the slide.
        target_mpp: wanted µm/px.

    Raises:
        UnreadableSlideError: more than that is damaged.
    """
    mpp = slide.require_mpp()
    finer = [
        level
        for level, downsample in enumerate(slide.level_downsamples)
        if max(mpp) * downsample <= target_mpp
    ]
    level = max(finer, key=lambda i: slide.level_downsamples[i]) if finer else 0
    source_width, source_height = slide.level_dimensions[level]
    full_width, full_height = slide.level_dimensions[0]
    # a level is never enlarged, so a slide coarser than the target keeps its own size
    width = min(source_width, max(1, round(full_width * mpp[0] / target_mpp)))
    height = min(source_height, max(1, round(full_height * mpp[1] / target_mpp)))
    factor = _decoded_at(slide, min(source_width / width, source_height / height))
    # the last px of a reduced level may lie beyond the slide in part
    exact_width = source_width / factor
    down = Footprints(0.0, source_height / factor / height, height)
    total = np.zeros((height, width, 3), dtype=np.float32)
    source_width, source_height = -(-source_width // factor), -(-source_height // factor)
    stored = max(1, slide.stored_rows(level) // factor)
    step = _strip_height(source_width, stored)
    # of a file without tiles nothing tells how far damage goes
    least = stored if slide.stored_rows(level) > 1 else _LEAST_RESCUED
    rescue = _Rescue(slide, least, source_width * source_height)
    for start in range(0, source_height, step):
        size = (source_width, min(step, source_height - start))
        if factor == 1:
            strip = rescue.read(partial(slide.read, level), 0, start, *size)
        else:
            strip = rescue.read(partial(slide.read_scaled, level, factor), 0, start, *size)
            _repeat_last(slide, level, factor, start, strip)
        down.add(total, _narrow(strip, width, exact_width), start)
    reduced_mpp = (mpp[0] * full_width / width, mpp[1] * full_height / height)
    return Reduced(np.rint(total).clip(0, 255).astype(np.uint8), reduced_mpp, rescue.share)


class _Rescue:
    """Reads what can be read of a slide, white where it is damaged.

    Args:
        slide: the slide.
        least: px of the side of a region that is not divided further: of the file's tiles.
        area: px of the whole.
    """

    def __init__(self, slide: Slide, least: int, area: int) -> None:
        self._slide, self._least, self._area = slide, least, area
        self._lost = 0

    @property
    def share(self) -> float:
        """The share that was lost."""
        return self._lost / self._area

    def read(
        self,
        read: Callable[[int, int, int, int], np.ndarray],
        x: int,
        y: int,
        width: int,
        rows: int,
    ) -> np.ndarray:
        """Read a region, or the halves of it that can be read.

        Raises:
            UnreadableSlideError: too much was lost.
        """
        try:
            return read(x, y, width, rows)
        except DamagedRegionError as error:
            if max(width, rows) <= self._least:
                self._lose(width * rows, error)
                return np.full((rows, width, 3), _WHITE, dtype=np.uint8)
        if width >= rows:
            half = -(-width // (2 * self._least)) * self._least
            parts = ((x, y, half, rows), (x + half, y, width - half, rows))
            return np.concatenate([self.read(read, *part) for part in parts], axis=1)
        half = -(-rows // (2 * self._least)) * self._least
        parts = ((x, y, width, half), (x, y + half, width, rows - half))
        return np.concatenate([self.read(read, *part) for part in parts], axis=0)

    def _lose(self, pixels: int, error: DamagedRegionError) -> None:
        self._lost += pixels
        if self.share > _MOST_DAMAGED:
            raise UnreadableSlideError(
                f"over {_MOST_DAMAGED:.0%} of it is damaged; for one, it {error.what}",
                where=self._slide.path,
                fix="copy or download it again",
            ) from error
        LOGGER.info("%s; taken for glass", error)


def _decoded_at(slide: Slide, reduction: float) -> int:
    """Return the px of a level per px on each axis that its tiles are decoded at."""
    steps = SCALED_STEPS if slide.scaling == "dct" else ()
    return max((step for step in steps if step <= reduction), default=1)


def _repeat_last(slide: Slide, level: int, factor: int, start: int, strip: np.ndarray) -> None:
    """Let px of a reduced level that lie partly beyond the slide repeat their neighbours."""
    rows, width = strip.shape[:2]
    level_width, level_height = slide.level_dimensions[level]
    if level_width % factor and width > 1:
        strip[:, -1] = strip[:, -2]
    if level_height % factor and (start + rows) * factor > level_height and rows > 1:
        strip[-1] = strip[-2]


def _strip_height(width: int, stored_rows: int) -> int:
    rows = max(1, _STRIP_PIXELS // width)
    # a strip that ends amid the file's own tiles decodes them twice; that costs more than memory
    if rows >= stored_rows:
        return rows - rows % stored_rows
    return stored_rows if stored_rows * width <= _LARGEST_STRIP_PIXELS else rows


def _narrow(strip: np.ndarray, width: int, exact_width: float) -> np.ndarray:
    """Reduce the first ``exact_width`` columns of ``(H, W, 3)`` uint8 to ``(H, width, 3)`` float32.

    By area; ``W`` is ``exact_width`` rounded up.
    """
    narrow = np.empty((len(strip), width, 3), dtype=np.float32)
    step = max(1, _FLOAT_PIXELS // strip.shape[1])
    edges = np.linspace(0.0, exact_width, width + 1)
    for start in range(0, len(strip), step):
        rows = strip[start : start + step]
        if exact_width == strip.shape[1]:
            narrow[start : start + step] = cv2.resize(
                rows.astype(np.float32), (width, len(rows)), interpolation=cv2.INTER_AREA
            )
        else:
            narrow[start : start + step] = _means_between(rows, edges)
    return narrow


def _means_between(rows: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the means of ``(H, W, 3)`` between fractional columns: ``(H, len(edges) - 1, 3)``."""
    sums = np.zeros((len(rows), rows.shape[1] + 1, 3))
    np.cumsum(rows, axis=1, out=sums[:, 1:])
    left = np.minimum(edges.astype(np.int64), rows.shape[1] - 1)
    share = (edges - left)[:, None]
    until = sums[:, left] * (1 - share) + sums[:, left + 1] * share
    means: np.ndarray = np.diff(until, axis=1) / np.diff(edges)[:, None]
    return means
