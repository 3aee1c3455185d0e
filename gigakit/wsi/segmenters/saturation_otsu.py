"""Tissue by Otsu's threshold on saturation."""

from __future__ import annotations

import cv2
import numpy as np

from gigakit.registry import SEGMENTERS
from gigakit.wsi.masks import cleaned, otsu_split, require_odd, require_sizes

# saturation levels between the means of tissue and glass under which the split is one of noise
_LEAST_CONTRAST = 12.0


@SEGMENTERS.register_module()
class SaturationOtsuSegmenter:
    """Mark what is more saturated (HSV) than Otsu's threshold.

    Grey things, such as black borders, shadows and pencil, are not tissue here; neither is pale,
    unstained tissue. Coloured pen is. Otsu parts weak from strong stain where glass is scarce.

    Args:
        mask_mpp: working resolution in µm/px.
        min_tissue_mm2: smaller pieces of tissue are dropped.
        max_hole_mm2: smaller holes are filled.
        median_px: side of the median filter before, odd; 0 leaves it out.

    Raises:
        ConfigError: a value out of range.

    Source: the usual alternative to Otsu on luminance (hs2p, CLAM's use_otsu).
    """

    def __init__(
        self,
        *,
        mask_mpp: float = 8.0,
        min_tissue_mm2: float = 0.0,
        max_hole_mm2: float = 0.0,
        median_px: int = 7,
    ) -> None:
        require_sizes(
            "SaturationOtsuSegmenter",
            mask_mpp,
            min_tissue_mm2=min_tissue_mm2,
            max_hole_mm2=max_hole_mm2,
        )
        require_odd("SaturationOtsuSegmenter", "median_px", median_px)
        self.mask_mpp, self.median_px = mask_mpp, median_px
        self.min_tissue_mm2, self.max_hole_mm2 = min_tissue_mm2, max_hole_mm2

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Return ``(H, W)`` bool, True = tissue, of ``(H, W, 3)`` uint8 RGB at ``mask_mpp``."""
        saturation = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[..., 1]
        if self.median_px:
            saturation = cv2.medianBlur(saturation, self.median_px)
        return cleaned(
            otsu_split(255 - saturation, least_contrast=_LEAST_CONTRAST),
            self.mask_mpp,
            min_tissue_mm2=self.min_tissue_mm2,
            max_hole_mm2=self.max_hole_mm2,
        )
