"""From the levels a slide has to the resolution that is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import cv2
import numpy as np

from gigakit.core.errors import SlideError
from gigakit.wsi.footprints import Footprints
from gigakit.wsi.slide import SCALED_STEPS, Slide

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
    across = Footprints(left, choice.scale[0], width)
    down = Footprints(top, choice.scale[1], height)
    source = slide.read(choice.level, across.first, down.first, across.count, down.count)
    if across.is_whole and down.is_whole:
        reduced: np.ndarray = cv2.resize(source, (width, height), interpolation=cv2.INTER_AREA)
        return reduced
    flat = down.weights() @ source.reshape(down.count, -1).astype(np.float32)
    rows = flat.reshape(height, across.count, 3)
    mean = np.einsum("ws,hsc->hwc", across.weights(), rows, optimize=True)
    rounded: np.ndarray = np.rint(mean).clip(0, 255).astype(np.uint8)
    return rounded
