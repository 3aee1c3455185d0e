"""How far a tile is out of focus."""

from __future__ import annotations

import cv2
import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.registry import QUALITIES
from gigakit.wsi.boxes import box_sums

# 16 bits keep what the mean of a few px of 8 bits adds to their precision
_SCALE = 256


@QUALITIES.register_module()
class Blur:
    """Share of the differences between neighbours that smoothing cannot take away, 0 to 1.

    What is sharp loses its edges when it is smoothed; what is blurred has none to lose. With
    differences ``D`` of luminance along an axis, and ``S`` of the image smoothed along it, blur is
    ``1 - sum(max(0, D - S)) / sum(D)``, the larger of both axes. It does not depend on contrast.
    On H&E at 2 µm/px sharp tissue has about 0.3; a defocus of 2 µm (the width of a Gaussian) about
    0.6, of 4 µm 0.8.

    Args:
        mpp: µm/px at which it is measured.
        window: px that are smoothed over, odd.

    Raises:
        ConfigError: a value out of range.

    Source: Crete et al. 2007, "The blur effect: perception and estimation with a new no-reference
        perceptual blur metric", equations 1 to 7.
    Differs: a window of 5 px, not 9, since tiles are small at this resolution.
    """

    column = "blur"

    def __init__(self, *, mpp: float = 2.0, window: int = 5) -> None:
        if not mpp > 0:
            raise ConfigError(f"mpp is {mpp}", where="Blur", fix="try 2.0")
        if window < 3 or window % 2 == 0:  # noqa: PLR2004
            raise ConfigError(f"window is {window}", where="Blur", fix="give an odd number, from 3")
        self.mpp: float | None = mpp
        self.window = window

    def measure(self, image: np.ndarray, corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Return the blur of tiles; see :class:`gigakit.wsi.quality.Quality`."""
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.uint16) * _SCALE
        along = [self._along(grey, corners, size)]
        along.append(self._along(cv2.transpose(grey), corners[:, ::-1], size[::-1]))
        largest: np.ndarray = np.maximum(*along)
        return largest

    def _along(self, grey: np.ndarray, corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        smooth = cv2.blur(grey, (self.window, 1))
        differences = cv2.absdiff(grey[:, 1:], grey[:, :-1])
        lost = cv2.subtract(differences, cv2.absdiff(smooth[:, 1:], smooth[:, :-1]))
        # what the window takes from beyond the tile is left out
        margin = self.window // 2
        inner = (max(1, size[0] - 2 * margin - 1), size[1])
        inside = corners + np.array([margin, 0])
        all_of, lost_of = (
            box_sums(part.astype(np.float32), inside, inner) for part in (differences, lost)
        )
        # a tile without any edge is as blurred as can be
        share: np.ndarray = np.divide(lost_of, all_of, out=np.zeros_like(all_of), where=all_of > 0)
        return 1.0 - share
