"""Plain images: one level, and a resolution that the user gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gigakit.core.errors import DamagedRegionError, UnreadableSlideError
from gigakit.registry import READERS
from gigakit.wsi.image_decoding import decode_image
from gigakit.wsi.slide import Slide, explicit_mpp


@READERS.register_module()
class ImageReader(Slide):
    """Read a PNG, JPEG, BMP or plain TIFF whole; transparent pixels become white.

    Args:
        path: the file; handed in.
        mpp: resolution in µm/px; handed in. Plain images do not tell a trustworthy one.

    Raises:
        UnreadableSlideError: it is no image, or its decoder finds damage.
    """

    def __init__(self, path: Path, mpp: float | None = None) -> None:
        self.path = path
        try:
            self._pixels = decode_image(path.read_bytes())
        except DamagedRegionError as error:
            # it is read whole, so nothing of it is left
            raise UnreadableSlideError(error.what, where=path) from error
        self.level_dimensions = [(self._pixels.shape[1], self._pixels.shape[0])]
        self.level_downsamples = [1.0]
        self.mpp = explicit_mpp(mpp, path)
        self.mpp_source = "given"
        self.vendor = "image"

    def read(self, level: int, x: int, y: int, width: int, height: int) -> np.ndarray:
        """Read a region; see :meth:`Slide.read`."""
        if level != 0:
            raise UnreadableSlideError(f"has no level {level}", where=self.path)
        region = np.full((height, width, 3), 255, dtype=np.uint8)
        columns, rows = self.level_dimensions[0]
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + width, columns), min(y + height, rows)
        if left < right and top < bottom:
            region[top - y : bottom - y, left - x : right - x] = self._pixels[
                top:bottom, left:right
            ]
        return region

    def close(self) -> None:
        """Forget the pixels."""
        self._pixels = np.empty((0, 0, 3), dtype=np.uint8)
