"""Tissue as CLAM finds it."""

from __future__ import annotations

import cv2
import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.registry import SEGMENTERS
from gigakit.wsi.masks import cleaned, require_odd, require_sizes


@SEGMENTERS.register_module()
class ClamSegmenter:
    """Threshold the smoothed saturation, close gaps, drop small pieces, fill small holes.

    Args:
        threshold: saturation (0-255) above which a pixel is tissue.
        median_px: side of the median filter before, odd; 0 leaves it out.
        close_px: side of the square that gaps are closed with; 0 leaves it out.
        mask_mpp: working resolution in µm/px; CLAM's level of downsample 64 at 40x has 16.
        min_tissue_mm2: smaller pieces are dropped; CLAM's 100 reference patches at 40x.
        max_hole_mm2: smaller holes are filled; CLAM's 16 reference patches at 40x.

    Raises:
        ConfigError: a value out of range.

    Source: Lu et al. 2021 (CLAM), Methods; the defaults of its published presets.
    Differs: sizes are areas in mm², not counts of patches of a level; every hole above the limit
        stays, not the 8 largest of a piece.
    """

    def __init__(
        self,
        *,
        threshold: int = 8,
        median_px: int = 7,
        close_px: int = 4,
        mask_mpp: float = 16.0,
        min_tissue_mm2: float = 1.64,
        max_hole_mm2: float = 0.26,
    ) -> None:
        require_sizes(
            "ClamSegmenter", mask_mpp, min_tissue_mm2=min_tissue_mm2, max_hole_mm2=max_hole_mm2
        )
        require_odd("ClamSegmenter", "median_px", median_px)
        for name, value in (("threshold", threshold), ("close_px", close_px)):
            if not 0 <= value <= 255:  # noqa: PLR2004
                raise ConfigError(f"{name} is {value}", where="ClamSegmenter", fix="from 0 to 255")
        self.threshold, self.median_px, self.close_px = threshold, median_px, close_px
        self.mask_mpp = mask_mpp
        self.min_tissue_mm2, self.max_hole_mm2 = min_tissue_mm2, max_hole_mm2

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Return ``(H, W)`` bool, True = tissue, of ``(H, W, 3)`` uint8 RGB at ``mask_mpp``."""
        saturation = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[..., 1]
        if self.median_px:
            saturation = cv2.medianBlur(saturation, self.median_px)
        tissue: np.ndarray = (saturation > self.threshold).astype(np.uint8)
        if self.close_px:
            square = np.ones((self.close_px, self.close_px), dtype=np.uint8)
            tissue = cv2.morphologyEx(tissue, cv2.MORPH_CLOSE, square)
        return cleaned(
            tissue > 0,
            self.mask_mpp,
            min_tissue_mm2=self.min_tissue_mm2,
            max_hole_mm2=self.max_hole_mm2,
        )
