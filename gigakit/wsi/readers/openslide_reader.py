"""Every format that OpenSlide opens."""

from __future__ import annotations

import ctypes
import logging
import math
import sys
from pathlib import Path

import cv2
import numpy as np
import openslide
from openslide import lowlevel

from gigakit.core.errors import DamagedRegionError, UnreadableSlideError
from gigakit.registry import READERS
from gigakit.wsi.diagnosis import diagnose
from gigakit.wsi.slide import Slide, check_extent, explicit_mpp, sensible_mpp

_WHITE = (255, 255, 255)
_OPAQUE = 255
_OF_MANY_FILES = ("mirax", "dicom", "hamamatsu")
LOGGER = logging.getLogger(__name__)
# not public in openslide-python, so it may move
_DRAW = getattr(lowlevel, "_read_region", None)
if _DRAW is None:
    LOGGER.warning("this openslide-python hides its buffer; slides are read through Pillow, slower")


@READERS.register_module()
class OpenSlideReader(Slide):
    """Read through OpenSlide: Aperio, Hamamatsu, Leica, MIRAX, Philips, Ventana, DICOM, TIFF.

    After an error OpenSlide's handle answers every call with that error, so it is opened anew.

    Args:
        path: the file; handed in.
        mpp: resolution in µm/px that overrides the slide's; handed in.

    Raises:
        UnreadableSlideError: OpenSlide does not know the format, or the file is damaged.
        MissingMppError: the slide tells a resolution that cannot be one.
    """

    def __init__(self, path: Path, mpp: float | None = None) -> None:
        self.path = path
        self._handle = _open(path)
        properties = dict(self._handle.properties)
        self.level_dimensions = self._handle.level_dimensions
        self.level_downsamples = self._handle.level_downsamples
        self._tile_sizes = [
            (
                int(properties.get(f"openslide.level[{level}].tile-width", 1)),
                int(properties.get(f"openslide.level[{level}].tile-height", 1)),
            )
            for level in range(len(self.level_dimensions))
        ]
        self.vendor = properties.get(openslide.PROPERTY_NAME_VENDOR, "unknown")
        if self.vendor not in _OF_MANY_FILES:
            check_extent(path, self.level_dimensions[0], self._tile_sizes[0])
        self.background = _colour(properties.get(openslide.PROPERTY_NAME_BACKGROUND_COLOR))
        self.bounds = _told_bounds(properties)
        self.mpp = explicit_mpp(mpp, path) or _told_mpp(properties, path)
        self.mpp_source = "given" if mpp is not None else "slide"

    def read(self, level: int, x: int, y: int, width: int, height: int) -> np.ndarray:
        """Read a region; see :meth:`Slide.read`.

        OpenSlide places regions by level-0 px: where a level's downsample is no whole number, the
        region lies up to half a level-0 px beside its place, and OpenSlide interpolates.
        """
        downsample = self.level_downsamples[level]
        place = (round(x * downsample), round(y * downsample))
        try:
            premultiplied = _read_bgra(self._handle, place, level, (width, height))
        except openslide.OpenSlideError as error:
            self._handle.close()
            self._handle = _open(self.path)
            raise DamagedRegionError(
                f"is damaged at level {level}, x {x}, y {y}: {error}", where=self.path
            ) from error
        if premultiplied[..., 3].min(initial=_OPAQUE) == _OPAQUE:
            return cv2.cvtColor(premultiplied, cv2.COLOR_BGRA2RGB)
        share = premultiplied[..., 3:].astype(np.float32) / _OPAQUE
        blended = premultiplied[..., 2::-1] + np.array(self.background) * (1 - share)
        return np.rint(blended).clip(0, _OPAQUE).astype(np.uint8)

    def close(self) -> None:
        """Close the file."""
        self._handle.close()

    def stored_rows(self, level: int) -> int:
        """Return the height of a level's tiles; see :meth:`Slide.stored_rows`."""
        return self._tile_sizes[level][1]


def dicom_series(path: Path) -> str | None:
    """Return the series a DICOM file belongs to: its files are one slide, whichever is opened.

    ``None`` for what cannot be opened; opening it as a slide tells why.
    """
    try:
        with openslide.OpenSlide(path) as handle:
            return handle.properties.get("dicom.SeriesInstanceUID")
    except openslide.OpenSlideError:
        return None


def _read_bgra(
    handle: openslide.OpenSlide, place: tuple[int, int], level: int, size: tuple[int, int]
) -> np.ndarray:
    """Return ``(H, W, 4)`` uint8 as OpenSlide draws it, colours multiplied by alpha.

    Without the detour over Pillow, which copies three times.
    """
    width, height = size
    if width <= 0 or height <= 0:
        raise openslide.OpenSlideError(f"a region of {width} x {height} px")
    if _DRAW is None:
        rgba = np.asarray(handle.read_region(place, level, size)).astype(np.float32)
        rgba[..., :3] *= rgba[..., 3:] / _OPAQUE
        return np.rint(rgba[..., [2, 1, 0, 3]]).astype(np.uint8)
    pixels = np.empty((height, width, 4), dtype=np.uint8)
    buffer = pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint32))
    _DRAW(handle._osr, buffer, *place, level, width, height)
    return pixels if sys.byteorder == "little" else pixels[..., ::-1]


def _told_mpp(properties: dict[str, str], path: Path) -> tuple[float, float] | None:
    values = []
    for name in (openslide.PROPERTY_NAME_MPP_X, openslide.PROPERTY_NAME_MPP_Y):
        text = properties.get(name)
        if text is None:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        values.append(sensible_mpp(value, path, name))
    return values[0], values[1]


def _told_bounds(properties: dict[str, str]) -> tuple[int, int, int, int] | None:
    names = (
        openslide.PROPERTY_NAME_BOUNDS_X,
        openslide.PROPERTY_NAME_BOUNDS_Y,
        openslide.PROPERTY_NAME_BOUNDS_WIDTH,
        openslide.PROPERTY_NAME_BOUNDS_HEIGHT,
    )
    told = [properties.get(name, "") for name in names]
    if not all(text.isdecimal() for text in told):
        return None
    left, top, width, height = map(int, told)
    return left, top, width, height


def _open(path: Path) -> openslide.OpenSlide:
    try:
        return openslide.OpenSlide(path)
    except openslide.OpenSlideUnsupportedFormatError as error:
        raise diagnose(path) from error
    except openslide.OpenSlideError as error:
        raise UnreadableSlideError(f"cannot be opened: {error}", where=path) from error


def _colour(text: str | None) -> tuple[int, int, int]:
    if text is None:
        return _WHITE
    red, green, blue = bytes.fromhex(text[:6])
    return red, green, blue
