"""Plain images: one level, and a resolution that the user gives."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from gigakit.core.errors import UnreadableSlideError
from gigakit.registry import READERS
from gigakit.wsi.slide import Slide, explicit_mpp

_JPEG = b"\xff\xd8\xff"


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
        # OpenCV's own file access cannot open every path; its decoder can
        self._pixels = decode_image(path.read_bytes(), path)
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


def decode_image(data: bytes, where: object) -> np.ndarray:
    """Decode a picture strictly; transparent pixels become white.

    Args:
        data: a file's bytes: PNG, JPEG, BMP or plain TIFF.
        where: the file, for errors.

    Returns:
        ``(H, W, 3)`` uint8 RGB.

    Raises:
        UnreadableSlideError: it is no image, or its decoder finds damage.
    """
    if data.startswith(_JPEG):
        return _decode_jpeg(data, where)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise UnreadableSlideError(f"cannot be decoded: {error.err}", where=where) from error
    if pixels is None:
        raise UnreadableSlideError("is no image, or is damaged", where=where)
    if pixels.dtype != np.uint8:
        raise UnreadableSlideError(f"has {pixels.dtype} pixels, not 8 bits", where=where)
    if pixels.ndim == 2:  # noqa: PLR2004
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    if pixels.shape[2] == 4:  # noqa: PLR2004
        alpha = pixels[..., 3:].astype(np.float32) / 255
        blended = pixels[..., :3] * alpha + 255 * (1 - alpha)
        pixels = np.rint(blended).astype(np.uint8)
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _decode_jpeg(data: bytes, where: object) -> np.ndarray:
    # OpenCV fills what a damaged JPEG lacks with made-up pixels and says nothing
    try:
        pixels: np.ndarray = simplejpeg.decode_jpeg(data, colorspace="RGB", strict=True)
    except ValueError as error:
        raise UnreadableSlideError(f"is damaged: {error}", where=where) from error
    return pixels
