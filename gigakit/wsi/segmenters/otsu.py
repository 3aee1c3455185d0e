"""Tissue by Otsu's threshold on luminance."""

from __future__ import annotations

import cv2
import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.registry import SEGMENTERS

# grey levels between the means of dark and light under which the split is one of scanner noise
_LEAST_CONTRAST = 8.0


@SEGMENTERS.register_module()
class OtsuSegmenter:
    """Mark what is darker than Otsu's threshold of the mean of red, green and blue.

    The threshold is taken over the whole slide at one stated resolution, so that a slide's tiles
    do not depend on the levels its file happens to have. Where the two classes' means are less
    than 8 grey levels apart the slide has no tissue: Otsu has split one colour's noise. On a slide
    that is tissue everywhere, Otsu parts dark tissue from light.

    Args:
        mask_mpp: working resolution in µm/px.

    Raises:
        ConfigError: mask_mpp is not positive.

    Source: Prov-GigaPath, Methods, preprocessing (Otsu on a down-sampled image); Otsu 1979.
    Differs: the released tiler takes the lowest level whatever its resolution.
    """

    def __init__(self, *, mask_mpp: float = 8.0) -> None:
        if not mask_mpp > 0:
            raise ConfigError(f"mask_mpp is {mask_mpp}", where="OtsuSegmenter", fix="try 8.0")
        self.mask_mpp = mask_mpp

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Return ``(H, W)`` bool, True = tissue, of ``(H, W, 3)`` uint8 RGB at ``mask_mpp``."""
        luminance = np.rint(image.mean(axis=2, dtype=np.float32)).astype(np.uint8)
        # OpenCV's threshold is the lightest level of the dark class
        threshold, _ = cv2.threshold(luminance, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
        tissue: np.ndarray = luminance <= threshold
        if tissue.all() or not tissue.any():
            return np.zeros(luminance.shape, dtype=bool)
        contrast = luminance[~tissue].mean() - luminance[tissue].mean()
        return tissue if contrast >= _LEAST_CONTRAST else np.zeros_like(tissue)
