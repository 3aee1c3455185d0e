"""Rules for small pieces of a tissue mask, in mm²."""

from __future__ import annotations

import cv2
import numpy as np

from gigakit.core.errors import ConfigError

_UM2_PER_MM2 = 1e6


def require_sizes(component: str, mask_mpp: float, **sizes_mm2: float) -> None:
    """Refuse a resolution or sizes that cannot be.

    Raises:
        ConfigError: a resolution that is not positive, a negative size.
    """
    if not mask_mpp > 0:
        raise ConfigError(f"mask_mpp is {mask_mpp}", where=component, fix="try 8.0")
    for name, size in sizes_mm2.items():
        if size < 0:
            raise ConfigError(f"{name} is {size}", where=component, fix="give 0 or more")


def require_odd(component: str, name: str, pixels: int) -> None:
    """Refuse the side of a median filter that has no middle.

    Raises:
        ConfigError: it is negative or even, 0 excepted.
    """
    if pixels < 0 or (pixels and pixels % 2 == 0):
        raise ConfigError(f"{name} is {pixels}", where=component, fix="give an odd number, or 0")


def cleaned(
    mask: np.ndarray, mask_mpp: float, *, min_tissue_mm2: float, max_hole_mm2: float
) -> np.ndarray:
    """Return a mask without small pieces of tissue, and with small holes filled.

    Args:
        mask: ``(H, W)`` bool, True = tissue.
        mask_mpp: its µm/px.
        min_tissue_mm2: pieces smaller than this are dropped; 0 drops none.
        max_hole_mm2: holes smaller than this are filled; 0 fills none.
    """
    pixel_mm2 = mask_mpp**2 / _UM2_PER_MM2
    filled = mask
    if max_hole_mm2:
        # what touches the border is outside, not a hole
        outside = np.pad(~mask, 1, constant_values=True)
        small = _smaller(outside, max_hole_mm2 / pixel_mm2)[1:-1, 1:-1]
        filled = mask | small
    if min_tissue_mm2:
        filled = filled & ~_smaller(filled, min_tissue_mm2 / pixel_mm2)
    return filled


def otsu_split(values: np.ndarray, *, least_contrast: float) -> np.ndarray:
    """Return where ``(H, W)`` uint8 lies at or below Otsu's threshold.

    Nowhere, if the means of the two classes are less than ``least_contrast`` apart: there is only
    one, and its noise was split.
    """
    # OpenCV's threshold is the highest value of the lower class
    threshold, _ = cv2.threshold(values, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    low: np.ndarray = values <= threshold
    if low.all() or not low.any():
        return np.zeros(values.shape, dtype=bool)
    contrast = values[~low].mean() - values[low].mean()
    return low if contrast >= least_contrast else np.zeros_like(low)


def _smaller(mask: np.ndarray, pixels: float) -> np.ndarray:
    """Return the pieces of a mask, joined over corners, that have fewer pixels."""
    _, labels, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    small = facts[:, cv2.CC_STAT_AREA] < pixels
    small[0] = False
    chosen: np.ndarray = small[labels]
    return chosen
