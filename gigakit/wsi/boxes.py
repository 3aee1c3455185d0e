"""Sums over many boxes of an image."""

from __future__ import annotations

import cv2
import numpy as np


def box_sums(values: np.ndarray, corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the sums of an image over boxes, by integral image.

    Args:
        values: ``(H, W)`` uint8 or float32.
        corners: ``(N, 2)`` int, top-left px, (x, y).
        size: width and height of a box in px; what lies beyond the image counts nothing.

    Returns:
        ``(N,)`` float64.
    """
    height, width = values.shape
    integral = cv2.integral(values, sdepth=cv2.CV_64F)
    left, top = (corners[:, axis].clip(0, n) for axis, n in ((0, width), (1, height)))
    right = (corners[:, 0] + size[0]).clip(0, width)
    bottom = (corners[:, 1] + size[1]).clip(0, height)
    sums: np.ndarray = (
        integral[bottom, right]
        - integral[top, right]
        - integral[bottom, left]
        + integral[top, left]
    )
    return sums


def box_means(values: np.ndarray, corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the means of an image over boxes, as :func:`box_sums`; ``(N,)`` float64."""
    means: np.ndarray = box_sums(values, corners, size) / (size[0] * size[1])
    return means
