"""How much of a tile is tissue."""

from __future__ import annotations

import numpy as np


def tissue_fraction(
    mask: np.ndarray,
    corners: np.ndarray,
    footprint: tuple[float, ...],
    slide_size: tuple[int, int],
) -> np.ndarray:
    """Return the fraction of each rectangle that a mask covers, by integral image.

    Args:
        mask: ``(H, W)`` bool, which covers the slide exactly.
        corners: ``(N, 2)`` top-left corners in level-0 px, (x, y).
        footprint: width and height of a rectangle in level-0 px.
        slide_size: width and height of the slide in level-0 px.

    Returns:
        ``(N,)`` float64, exact for rectangles inside the slide.
    """
    height, width = mask.shape
    integral = np.zeros((height + 1, width + 1))
    integral[1:, 1:] = mask.cumsum(axis=0).cumsum(axis=1)
    scale = np.array([width / slide_size[0], height / slide_size[1]])
    low, high = corners * scale, (corners + np.array(footprint)) * scale
    area = (
        _at(integral, high[:, 0], high[:, 1])
        - _at(integral, low[:, 0], high[:, 1])
        - _at(integral, high[:, 0], low[:, 1])
        + _at(integral, low[:, 0], low[:, 1])
    )
    fraction: np.ndarray = area / np.prod(np.array(footprint) * scale)
    # rounding noise of the sums must not decide at a threshold
    return np.round(fraction, 9).clip(0.0, 1.0)


def _at(integral: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Interpolate the integral image bilinearly: exact, since the mask is constant per pixel."""
    height, width = integral.shape
    x, y = x.clip(0, width - 1), y.clip(0, height - 1)
    left, top = (np.minimum(p.astype(np.int64), n - 2) for p, n in ((x, width), (y, height)))
    u, v = x - left, y - top
    upper = integral[top, left] * (1 - u) + integral[top, left + 1] * u
    lower = integral[top + 1, left] * (1 - u) + integral[top + 1, left + 1] * u
    between: np.ndarray = upper * (1 - v) + lower * v
    return between
