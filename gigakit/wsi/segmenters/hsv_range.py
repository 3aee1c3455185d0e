"""Tissue by a range of hue, saturation and value."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.registry import SEGMENTERS
from gigakit.wsi.masks import cleaned, require_sizes

_LARGEST = (180, 255, 255)


@SEGMENTERS.register_module()
class HsvRangeSegmenter:
    """Mark pixels whose hue, saturation and value lie in a range.

    The published range holds the blues, purples and pinks of H&E: green, black and most red pen
    fall out, blue pen stays. Brown (DAB) and yellow stains fall out too: no choice for IHC.

    Args:
        low: least (hue, saturation, value) in OpenCV's units: hue 0-180, others 0-255.
        high: greatest, itself included.
        mask_mpp: working resolution in µm/px.
        min_tissue_mm2: smaller pieces of tissue are dropped.
        max_hole_mm2: smaller holes are filled.

    Raises:
        ConfigError: a value out of range.

    Source: OpenMidnight's tissue filter: H 90-180, S 8-255, V 103-255.
    """

    def __init__(
        self,
        *,
        low: Sequence[int] = (90, 8, 103),
        high: Sequence[int] = (180, 255, 255),
        mask_mpp: float = 8.0,
        min_tissue_mm2: float = 0.0,
        max_hole_mm2: float = 0.0,
    ) -> None:
        require_sizes(
            "HsvRangeSegmenter", mask_mpp, min_tissue_mm2=min_tissue_mm2, max_hole_mm2=max_hole_mm2
        )
        if not len(low) == len(high) == len(_LARGEST) or not all(
            0 <= least <= most <= largest
            for least, most, largest in zip(low, high, _LARGEST, strict=True)
        ):
            raise ConfigError(
                f"low is {tuple(low)}, high is {tuple(high)}",
                where="HsvRangeSegmenter",
                fix="give three numbers each, hue up to 180, the others up to 255",
            )
        self.low, self.high = tuple(low), tuple(high)
        self.mask_mpp = mask_mpp
        self.min_tissue_mm2, self.max_hole_mm2 = min_tissue_mm2, max_hole_mm2

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Return ``(H, W)`` bool, True = tissue, of ``(H, W, 3)`` uint8 RGB at ``mask_mpp``."""
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        return cleaned(
            cv2.inRange(hsv, self.low, self.high) > 0,
            self.mask_mpp,
            min_tissue_mm2=self.min_tissue_mm2,
            max_hole_mm2=self.max_hole_mm2,
        )
