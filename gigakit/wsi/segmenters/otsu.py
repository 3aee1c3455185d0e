"""Tissue by Otsu's threshold on luminance."""

from __future__ import annotations

import numpy as np

from gigakit.registry import SEGMENTERS
from gigakit.wsi.masks import cleaned, otsu_split, require_sizes

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
        min_tissue_mm2: smaller pieces of tissue are dropped; the paper drops none.
        max_hole_mm2: smaller holes are filled; the paper fills none.

    Raises:
        ConfigError: mask_mpp is not positive, or a size is negative.

    Source: Prov-GigaPath, Methods, preprocessing (Otsu on a down-sampled image); Otsu 1979.
    Differs: the released tiler takes the lowest level whatever its resolution.
    """

    def __init__(
        self, *, mask_mpp: float = 8.0, min_tissue_mm2: float = 0.0, max_hole_mm2: float = 0.0
    ) -> None:
        require_sizes(
            "OtsuSegmenter", mask_mpp, min_tissue_mm2=min_tissue_mm2, max_hole_mm2=max_hole_mm2
        )
        self.mask_mpp = mask_mpp
        self.min_tissue_mm2, self.max_hole_mm2 = min_tissue_mm2, max_hole_mm2

    def segment(self, image: np.ndarray) -> np.ndarray:
        """Return ``(H, W)`` bool, True = tissue, of ``(H, W, 3)`` uint8 RGB at ``mask_mpp``."""
        luminance = np.rint(image.mean(axis=2, dtype=np.float32)).astype(np.uint8)
        tissue = otsu_split(luminance, least_contrast=_LEAST_CONTRAST)
        return cleaned(
            tissue,
            self.mask_mpp,
            min_tissue_mm2=self.min_tissue_mm2,
            max_hole_mm2=self.max_hole_mm2,
        )
