"""How much of a tile is marked with a pen."""

from __future__ import annotations

import cv2
import numpy as np

from gigakit.registry import QUALITIES
from gigakit.wsi.boxes import box_means

# hue in degrees / 2, saturation and value of 255, as OpenCV has them
_INKS = {
    "green": ((35, 60, 20), (92, 255, 235)),
    "blue": ((93, 130, 20), (114, 255, 235)),
    "black": ((0, 0, 0), (180, 255, 55)),
}


@QUALITIES.register_module()
class Pen:
    """Share of px that have the colour of green, blue or black ink.

    Red ink is not told from eosin and blood, so it is not counted; nor is violet ink from
    haematoxylin. Measured on the image that the tissue mask comes from.
    """

    column = "pen"
    mpp: float | None = None

    def measure(self, image: np.ndarray, corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Return the share of ink of tiles; see :class:`gigakit.wsi.quality.Quality`."""
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        ink = np.zeros(hsv.shape[:2], dtype=np.uint8)
        for low, high in _INKS.values():
            ink |= cv2.inRange(hsv, low, high)
        shares: np.ndarray = box_means(ink, corners, size) / 255
        return shares
