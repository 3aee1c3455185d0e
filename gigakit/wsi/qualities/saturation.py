"""How colourful a tile is."""

from __future__ import annotations

import cv2
import numpy as np

from gigakit.registry import QUALITIES
from gigakit.wsi.boxes import box_means


@QUALITIES.register_module()
class Saturation:
    """Mean saturation of HSV, from 0 (grey) to 1; low on unstained tissue, dust and shadows.

    Measured on the image that the tissue mask comes from.
    """

    column = "saturation"
    mpp: float | None = None

    def measure(self, image: np.ndarray, corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Return the mean saturation of tiles; see :class:`gigakit.wsi.quality.Quality`."""
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        means: np.ndarray = box_means(hsv[:, :, 1], corners, size) / 255
        return means
