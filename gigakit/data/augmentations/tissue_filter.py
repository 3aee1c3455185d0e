"""Is there enough tissue on a tile?"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.registry import AUGMENTATIONS


@AUGMENTATIONS.register_module()
class TissueFilter:
    """Accept a tile of which more than a share of pixels has the colour of stained tissue.

    A pixel counts whose hue, saturation and value lie in their ranges, ends included, in OpenCV's
    8-bit units (hue 0 to 179 in steps of two degrees). It chooses tiles and changes none.

    Args:
        least_share: a tile is accepted above it; 0.6 in Midnight and OpenMidnight.
        hue: least and largest; blue to red.
        saturation: least and largest.
        value: least and largest.

    Raises:
        ConfigError: a share outside [0, 1), or a range outside 0 ... 255.

    Source: Virchow and Midnight (Karasikov et al. 2025), as OpenMidnight released it.
    """

    def __init__(
        self,
        *,
        least_share: float = 0.6,
        hue: Sequence[int] = (90, 180),
        saturation: Sequence[int] = (8, 255),
        value: Sequence[int] = (103, 255),
    ) -> None:
        if not 0.0 <= least_share < 1.0:
            raise ConfigError(
                f"got {least_share}", where="TissueFilter.least_share", fix="give 0 <= share < 1"
            )
        for name, limits in {"hue": hue, "saturation": saturation, "value": value}.items():
            if len(limits) != 2 or not 0 <= limits[0] <= limits[1] <= 255:  # noqa: PLR2004
                raise ConfigError(
                    f"got {tuple(limits)}",
                    where=f"TissueFilter.{name}",
                    fix="give the least and the largest of 0 ... 255",
                )
        self.least_share = least_share
        self.lowest = np.array([hue[0], saturation[0], value[0]], dtype=np.uint8)
        self.highest = np.array([hue[1], saturation[1], value[1]], dtype=np.uint8)

    def share(self, pixels: np.ndarray) -> float:
        """Return the share of ``(H, W, 3)`` uint8 RGB that has the colour of tissue."""
        colours = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
        inside = cv2.inRange(colours, self.lowest, self.highest)
        return cv2.countNonZero(inside) / inside.size

    def __call__(self, pixels: np.ndarray) -> bool:
        """Tell whether a tile ``(H, W, 3)`` uint8 RGB is accepted."""
        return self.share(pixels) > self.least_share
