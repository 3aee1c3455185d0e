"""From the levels a slide has to the resolution that is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import cv2
import numpy as np

from gigakit.core.errors import SlideError
from gigakit.wsi.slide import SCALED_STEPS, Slide

# source pixels read at once while a whole level is reduced (12 MB of RGB), and at most
_STRIP_PIXELS = 4_000_000
_LARGEST_STRIP_PIXELS = 64_000_000
# of these, px that are floating point at once: few, so that their memory is used again
_FLOAT_PIXELS = 300_000
# asked for once a tile
_CHOICES: WeakKeyDictionary[Slide, dict[tuple[float, float], LevelChoice]] = WeakKeyDictionary()


@dataclass(frozen=True)
class LevelChoice:
    """How pixels of the target resolution are read.

    Args:
        level: the level read.
        scale: px of that level per target px, (x, y); 1 where it is read as it is.
        effective_mpp: µm/px of what is read, (x, y).
        resampling: ``none``, ``area``, or ``dct`` (JPEG tiles decoded at 1/2, 1/4 or 1/8).
    """

    level: int
    scale: tuple[float, float]
    effective_mpp: tuple[float, float]
    resampling: str


def choose_level(slide: Slide, target_mpp: float, *, tolerance: float = 0.02) -> LevelChoice:
    """Choose the level for a target resolution.

    A level whose resolution is within ``tolerance`` of the target on both axes is read as it is,
    the nearest one if there are several. Otherwise the next finer level is reduced: by exactly 2, 4
    or 8 where that is within ``tolerance``, else by area to the target itself. Nothing is ever
    enlarged. Where the axes differ, one that is within ``tolerance`` keeps its px.

    Args:
        slide: the slide.
        target_mpp: wanted µm/px.
        tolerance: fraction of the target.

    Raises:
        MissingMppError: the slide does not tell its resolution.
        SlideError: every level is coarser than the target.
    """
    known = _CHOICES.setdefault(slide, {})
    if (target_mpp, tolerance) not in known:
        known[target_mpp, tolerance] = _choose(slide, target_mpp, tolerance)
    return known[target_mpp, tolerance]


def _choose(slide: Slide, target_mpp: float, tolerance: float) -> LevelChoice:
    mpp = slide.require_mpp()
    ratios = [
        (level, tuple(axis * downsample / target_mpp for axis in mpp))
        for level, downsample in enumerate(slide.level_downsamples)
    ]
    near = [
        (max(abs(r - 1) for r in ratio), level)
        for level, ratio in ratios
        if all(abs(r - 1) <= tolerance for r in ratio)
    ]
    if near:
        level = min(near)[1]
        downsample = slide.level_downsamples[level]
        return LevelChoice(level, (1.0, 1.0), (mpp[0] * downsample, mpp[1] * downsample), "none")
    finer = [level for level, ratio in ratios if max(ratio) <= 1 + tolerance]
    if not finer:
        finest = f"{mpp[0]:g} µm/px" if mpp[0] == mpp[1] else f"{mpp[0]:g} by {mpp[1]:g} µm/px"
        raise SlideError(
            f"its finest level has {finest}, coarser than the {target_mpp:g} wanted",
            where=slide.path,
            fix="raise target_mpp, or leave this slide out",
        )
    level = max(finer, key=lambda index: slide.level_downsamples[index])
    downsample = slide.level_downsamples[level]
    for step in SCALED_STEPS:
        if all(abs(ratio * step - 1) <= tolerance for ratio in ratios[level][1]):
            reached = (mpp[0] * downsample * step, mpp[1] * downsample * step)
            return LevelChoice(level, (float(step), float(step)), reached, slide.scaling)
    across, down = (1.0 if ratio >= 1 - tolerance else 1 / ratio for ratio in ratios[level][1])
    effective_mpp = (mpp[0] * downsample * across, mpp[1] * downsample * down)
    return LevelChoice(level, (across, down), effective_mpp, "area")


def read_window(
    slide: Slide, choice: LevelChoice, x: float, y: float, width: int, height: int
) -> np.ndarray:
    """Read a window of target px whose corner lies at exact level-0 coordinates.

    Args:
        slide: the slide.
        choice: how it is read.
        x: left edge in level-0 px; may be fractional.
        y: top edge in level-0 px.
        width: in target px.
        height: in target px.

    Returns:
        ``(height, width, 3)`` uint8 RGB. Without resampling the corner is rounded to whole px of
        the level; with ``area`` every target px is the mean over its exact footprint; with ``dct``
        too, unless the corner lies on whole target px.
    """
    downsample = slide.level_downsamples[choice.level]
    left, top = x / downsample, y / downsample
    if choice.resampling == "none":
        return slide.read(choice.level, round(left), round(top), width, height)
    if choice.resampling == "dct":
        # rounded, since a division's noise must not make a corner fractional
        column, row = (round(p / choice.scale[0], 6) for p in (left, top))
        if column.is_integer() and row.is_integer():
            step = int(choice.scale[0])
            return slide.read_scaled(choice.level, step, int(column), int(row), width, height)
    across = _Footprints(left, choice.scale[0], width)
    down = _Footprints(top, choice.scale[1], height)
    source = slide.read(choice.level, across.first, down.first, across.count, down.count)
    if across.is_whole and down.is_whole:
        reduced: np.ndarray = cv2.resize(source, (width, height), interpolation=cv2.INTER_AREA)
        return reduced
    flat = down.weights() @ source.reshape(down.count, -1).astype(np.float32)
    rows = flat.reshape(height, across.count, 3)
    mean = np.einsum("ws,hsc->hwc", across.weights(), rows, optimize=True)
    rounded: np.ndarray = np.rint(mean).clip(0, 255).astype(np.uint8)
    return rounded


def read_reduced(slide: Slide, target_mpp: float) -> tuple[np.ndarray, tuple[float, float]]:
    """Read the whole slide at about a coarse resolution, without holding a level in memory.

    The coarsest level that is finer than the target (or the coarsest of all) is reduced by area,
    strip by strip, to the whole number of px nearest the target. Where a reader decodes at reduced
    size, that comes first.

    Args:
        slide: the slide.
        target_mpp: wanted µm/px.

    Returns:
        ``(H, W, 3)`` uint8 RGB that covers the slide exactly, and its µm/px, (x, y).
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
    down = _Footprints(0.0, source_height / factor / height, height)
    total = np.zeros((height, width, 3), dtype=np.float32)
    source_width, source_height = -(-source_width // factor), -(-source_height // factor)
    step = _strip_height(source_width, max(1, slide.stored_rows(level) // factor))
    for start in range(0, source_height, step):
        size = (source_width, min(step, source_height - start))
        if factor == 1:
            strip = slide.read(level, 0, start, *size)
        else:
            strip = _read_decoded(slide, level, factor, start, *size)
        down.add(total, _narrow(strip, width, exact_width), start)
    reduced_mpp = (mpp[0] * full_width / width, mpp[1] * full_height / height)
    return np.rint(total).clip(0, 255).astype(np.uint8), reduced_mpp


def _decoded_at(slide: Slide, reduction: float) -> int:
    """Return the px of a level per px on each axis that its tiles are decoded at."""
    steps = SCALED_STEPS if slide.scaling == "dct" else ()
    return max((step for step in steps if step <= reduction), default=1)


def _read_decoded(
    slide: Slide, level: int, factor: int, start: int, width: int, rows: int
) -> np.ndarray:
    """Read rows of a reduced level; px that lie partly beyond the slide repeat their neighbours."""
    strip = slide.read_scaled(level, factor, 0, start, width, rows)
    level_width, level_height = slide.level_dimensions[level]
    if level_width % factor and width > 1:
        strip[:, -1] = strip[:, -2]
    if level_height % factor and (start + rows) * factor > level_height and rows > 1:
        strip[-1] = strip[-2]
    return strip


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


class _Footprints:
    """The source px that target px cover along one axis, and by how much."""

    def __init__(self, start: float, scale: float, count: int) -> None:
        # rounding noise of the division must not add a source px of weight 1e-12
        self.edges = np.round(start + scale * np.arange(count + 1), 9)
        self.first = int(np.floor(self.edges[0]))
        self.count = int(np.ceil(self.edges[-1])) - self.first
        self.scale = scale
        self.is_whole = float(scale).is_integer() and float(self.edges[0]).is_integer()

    def weights(self, start: int | None = None, count: int | None = None) -> np.ndarray:
        """Return ``(targets, count)`` weights; the rows of all source px sum to 1."""
        first = self.first if start is None else start
        source = first + np.arange(self.count if count is None else count)
        low = np.maximum(self.edges[:-1, None], source[None, :])
        high = np.minimum(self.edges[1:, None], source[None, :] + 1)
        weights: np.ndarray = (np.maximum(high - low, 0) / self.scale).astype(np.float32)
        return weights

    def add(self, total: np.ndarray, strip: np.ndarray, start: int) -> None:
        """Add a strip of source rows, which begins at ``start``, to the rows that cover it."""
        touched = slice(
            max(0, int(np.searchsorted(self.edges, start, side="right")) - 1),
            int(np.searchsorted(self.edges, start + len(strip), side="left")),
        )
        edges = _Footprints.__new__(_Footprints)
        edges.edges, edges.scale = self.edges[touched.start : touched.stop + 1], self.scale
        weights = edges.weights(start, len(strip))
        total[touched] += np.tensordot(weights, strip, axes=1)
