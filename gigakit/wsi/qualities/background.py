"""How much of a tile is bare glass."""

from __future__ import annotations

import cv2
import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.registry import QUALITIES
from gigakit.wsi.boxes import box_means


@QUALITIES.register_module()
class Background:
    """Share of px that are bright and colourless, whatever the segmenter made of them.

    A tile that the mask counts as tissue and this as glass holds fat, a tear, or pale stroma.
    Measured on the image that the tissue mask comes from.

    Args:
        min_brightness: least value of HSV, of 255, of glass.
        max_saturation: largest saturation of HSV, of 255, of glass.

    Raises:
        ConfigError: a value out of range.
    """

    column = "background"
    mpp: float | None = None

    def __init__(self, *, min_brightness: int = 215, max_saturation: int = 20) -> None:
        for name, value in (("min_brightness", min_brightness), ("max_saturation", max_saturation)):
            if not 0 <= value <= 255:  # noqa: PLR2004
                raise ConfigError(f"{name} is {value}", where="Background", fix="from 0 to 255")
        self.min_brightness, self.max_saturation = min_brightness, max_saturation

    def measure(self, image: np.ndarray, corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Return the share of glass of tiles; see :class:`gigakit.wsi.quality.Quality`."""
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        glass = cv2.inRange(hsv, (0, 0, self.min_brightness), (180, self.max_saturation, 255))
        shares: np.ndarray = box_means(glass, corners, size) / 255
        return shares
