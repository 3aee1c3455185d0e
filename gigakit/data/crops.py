"""Crops of a tile: which boxes, and how they become views of one size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gigakit.core.errors import ConfigError

Resize = Literal["exact", "fast"]

# tries of an area and an aspect ratio, before the box is the largest central one
TRIES = 10


@dataclass(frozen=True)
class Turns:
    """How often a view is mirrored or turned.

    Args:
        horizontal_flip: probability of exchanging left and right.
        vertical_flip: probability of exchanging top and bottom.
        right_angles: probability of a turn by 90, 180 or 270 degrees, each as likely.
        where: the component, for errors.

    Raises:
        ConfigError: a probability outside [0, 1].
    """

    horizontal_flip: float
    vertical_flip: float
    right_angles: float
    where: str

    def __post_init__(self) -> None:
        for name in ("horizontal_flip", "vertical_flip", "right_angles"):
            p = getattr(self, name)
            if not 0.0 <= p <= 1.0:
                raise ConfigError(f"got {p}", where=f"{self.where}.{name}", fix="give 0 to 1")

    def draw(self, generator: np.random.Generator, crops: int) -> np.ndarray:
        """Return ``(crops, 3)`` int: mirrored left-right, mirrored top-bottom, quarter turns."""
        chance = generator.random((crops, 3))
        quarters = generator.integers(1, 4, crops)
        turned = np.where(chance[:, 2] < self.right_angles, quarters, 0)
        mirrored = chance[:, :2] < (self.horizontal_flip, self.vertical_flip)
        return np.concatenate([mirrored.astype(np.int64), turned[:, None]], axis=1)


def area_boxes(
    generator: np.random.Generator,
    crops: int,
    shape: tuple[int, int],
    scale: Sequence[float],
    aspect: Sequence[float],
) -> np.ndarray:
    """Draw boxes by their share of a tile's area.

    The area is uniform over ``scale`` times the tile's, the logarithm of width over height uniform;
    of :data:`TRIES` tries the first that fits counts. Where none fits, the box is the largest
    central one whose aspect ratio is allowed.

    Args:
        generator: draws the same count of numbers whatever fits.
        crops: number of boxes.
        shape: height and width of the tile in px.
        scale: least and largest share of the area.
        aspect: least and largest width over height.

    Returns:
        ``(crops, 4)`` int64: top, left, height, width in px.

    Source: the random resized crop of Szegedy et al. 2015, with torchvision's rules for what fits.
    """
    height, width = shape
    share, ratio = generator.random((2, crops, TRIES))
    areas = height * width * (scale[0] + share * (scale[1] - scale[0]))
    low, high = np.log(aspect[0]), np.log(aspect[1])
    ratios = np.exp(low + ratio * (high - low))
    widths = np.rint(np.sqrt(areas * ratios)).astype(np.int64)
    heights = np.rint(np.sqrt(areas / ratios)).astype(np.int64)
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    rows, first = np.arange(crops), fits.argmax(axis=1)
    sizes = np.stack([heights[rows, first], widths[rows, first]], axis=1)
    place = generator.random((crops, 2))
    unfit = ~fits.any(axis=1)
    sizes[unfit] = _largest(height, width, aspect)
    place[unfit] = 0.5
    free = np.array(shape) - sizes
    # a uniform whole number of 0 ... free; the fallback's centre is rounded down
    corners = np.where(unfit[:, None], free // 2, np.floor(place * (free + 1)).astype(np.int64))
    return np.concatenate([corners, sizes], axis=1)


def _largest(height: int, width: int, aspect: Sequence[float]) -> tuple[int, int]:
    if width / height < aspect[0]:
        return min(height, round(width / aspect[0])), width
    if width / height > aspect[1]:
        return height, min(width, round(height * aspect[1]))
    return height, width


def render_crops(
    tile: np.ndarray, boxes: np.ndarray, turns: np.ndarray, size_px: int, resize: Resize
) -> Tensor:
    """Cut boxes out of a tile, resize each to a square, then mirror and turn it.

    Args:
        tile: ``(H, W, 3)`` uint8.
        boxes: ``(N, 4)`` top, left, height, width in px, inside of the tile.
        turns: ``(N, 3)`` from :meth:`Turns.draw`.
        size_px: side of a view.
        resize: ``exact`` is torch's antialiased bicubic on 8 bits, which equals Pillow's within 2
            grey levels; ``fast`` is OpenCV's linear, or mean over areas from half the size on,
            about 2 levels off on the mean.

    Returns:
        ``(N, 3, size_px, size_px)`` uint8.
    """
    views = torch.empty((len(boxes), 3, size_px, size_px), dtype=torch.uint8)
    for view, box, turn in zip(views, boxes.tolist(), turns.tolist(), strict=True):
        top, left, height, width = box
        pixels = tile[top : top + height, left : left + width]
        image = _exact(pixels, size_px) if resize == "exact" else _fast(pixels, size_px)
        mirrored = [axis for axis, flag in ((2, turn[0]), (1, turn[1])) if flag]
        if mirrored:
            image = image.flip(mirrored)
        view.copy_(torch.rot90(image, turn[2], (1, 2)) if turn[2] else image)
    return views


def _exact(pixels: np.ndarray, size_px: int) -> Tensor:
    # channels stay last in memory: torch has a fast path for 8 bits there
    image = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)
    if pixels.shape[:2] == (size_px, size_px):
        return image
    resized: Tensor = functional.interpolate(
        image[None], size=(size_px, size_px), mode="bicubic", antialias=True
    )[0]
    return resized


def _fast(pixels: np.ndarray, size_px: int) -> Tensor:
    # linear weights skip px from half the size on; the mean over areas is dearer
    halved = min(pixels.shape[:2]) >= 2 * size_px
    kernel = cv2.INTER_AREA if halved else cv2.INTER_LINEAR
    resized = cv2.resize(pixels, (size_px, size_px), interpolation=kernel)
    return torch.from_numpy(resized).permute(2, 0, 1)


def check_range(values: Sequence[float], where: str, *, low: float, high: float) -> None:
    """Refuse what is no range of positive numbers.

    Raises:
        ConfigError: not two numbers in order, or outside ``(low, high]``.
    """
    fits = len(values) == 2 and low < values[0] <= values[1] <= high  # noqa: PLR2004
    if not fits:
        limits = f"above {low:g}" + (f", at most {high:g}" if np.isfinite(high) else "")
        raise ConfigError(
            f"got {tuple(values)}", where=where, fix=f"give the least and the largest, {limits}"
        )


def check_views(counts: dict[str, int], sizes: dict[str, int], resize: str, where: str) -> None:
    """Refuse counts and sizes that no views have.

    Raises:
        ConfigError: a negative count, a size under 1 px, or another way to resize.
    """
    for name, count in counts.items():
        if count < 0:
            raise ConfigError(f"got {count}", where=f"{where}.{name}", fix="give 0 or more")
    for name, size in sizes.items():
        if size < 1:
            raise ConfigError(f"got {size}", where=f"{where}.{name}", fix="give at least 1 px")
    if resize not in ("exact", "fast"):
        raise ConfigError(f"resize is '{resize}'", where=where, fix="give exact or fast")
