"""Encoded images, of tiles or as slides, as 8-bit RGB."""

from __future__ import annotations

import cv2
import numpy as np
import simplejpeg

from gigakit.core.errors import DamagedRegionError

_JPEG = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
# bytes that some writers leave behind a JPEG's end
_TAIL = 64
# 65535 / 255
_LEVELS_16 = 257
_COLOURS, _WITH_ALPHA = 3, 4


def decode_image(data: bytes) -> np.ndarray:
    """Decode an image strictly: what is damaged raises, and is never filled with made-up pixels.

    Grey becomes three equal channels, CMYK and palettes RGB, what is transparent white; 16 bits are
    divided by 257. A rotation that a camera noted is not applied.

    Args:
        data: JPEG, PNG, TIFF, BMP or WebP.

    Returns:
        ``(H, W, 3)`` uint8 RGB.

    Raises:
        DamagedRegionError: no image, a damaged one, or one of other numbers.
    """
    if not data:
        raise DamagedRegionError("is empty")
    if data.startswith(_JPEG):
        try:
            if simplejpeg.decode_jpeg_header(data)[2] not in ("CMYK", "YCCK"):
                pixels: np.ndarray = simplejpeg.decode_jpeg(data, colorspace="RGB", strict=True)
                return pixels
        except ValueError as error:
            raise DamagedRegionError(f"is damaged: {error}") from error
        if _JPEG_END not in data[-_TAIL:]:
            raise DamagedRegionError("is damaged: it ends early")
    return _to_rgb(_decode(data))


def _decode(data: bytes) -> np.ndarray:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise DamagedRegionError(f"cannot be decoded: {error.err}") from error
    if pixels is None or not pixels.size:
        raise DamagedRegionError("is no image, or is damaged")
    decoded: np.ndarray = pixels
    return decoded


def _to_rgb(pixels: np.ndarray) -> np.ndarray:
    """Return what OpenCV decodes, (blue, green, red) or grey, as 8-bit RGB."""
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) + _LEVELS_16 // 2) // _LEVELS_16).astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise DamagedRegionError(f"has {pixels.dtype} pixels, not 8 or 16 bits")
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]  # noqa: PLR2004
    if channels == 1:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    if channels not in (_COLOURS, _WITH_ALPHA):
        raise DamagedRegionError(f"has {channels} channels")
    if channels == _WITH_ALPHA:
        alpha = pixels[..., 3:].astype(np.float32) / 255
        pixels = np.rint(pixels[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
