"""A slide as every later stage sees it: levels, resolution, and regions of pixels."""

from __future__ import annotations

import codecs
import functools
import logging
import math
import stat
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np

from gigakit.core.errors import (
    ConfigError,
    MissingMppError,
    UnreadableSlideError,
    UnsuitedSlideError,
)
from gigakit.registry import READERS

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
# beyond these a value is a mistake of units: confocal microscopes reach 0.05, overviews 50 µm/px
MPP_RANGE = (0.02, 100.0)
# px of a level per px on each axis that a JPEG can be decoded at
SCALED_STEPS = (2, 4, 8)
# a blank JPEG tile of 1,024 px holds about 400 px a byte; scanners store tiles of 240 to 4,096 px
_MOST_PX_PER_BYTE = 20_000
_LARGEST_TILE_PX = 16_384
_HEAD_BYTES = 512
_TIFF = (b"II", b"MM")
LOGGER = logging.getLogger(__name__)


class Slide(ABC):
    """An open slide.

    Attributes:
        path: the file.
        level_dimensions: (width, height) in px of each level, level 0 first.
        level_downsamples: level-0 px per px of each level.
        mpp: resolution of level 0 in µm/px, (x, y); ``None`` if the slide does not tell it.
        mpp_source: where the resolution comes from.
        vendor: the format.
        scaling: how :meth:`read_scaled` makes px: ``area`` or ``dct``.
        bounds: left, top, width and height in level-0 px of what was scanned, where a file tells
            it (MIRAX); viewers show that part.
    """

    path: Path
    level_dimensions: Sequence[tuple[int, int]]
    level_downsamples: Sequence[float]
    mpp: tuple[float, float] | None
    mpp_source: str
    vendor: str
    scaling: str = "area"
    bounds: tuple[int, int, int, int] | None = None

    @abstractmethod
    def read(self, level: int, x: int, y: int, width: int, height: int) -> np.ndarray:
        """Read a region of a level.

        Args:
            level: index of the level.
            x: left edge in px of that level.
            y: top edge in px of that level.
            width: in px of that level.
            height: in px of that level.

        Returns:
            ``(height, width, 3)`` uint8 RGB; what is transparent or outside has the background
            colour.

        Raises:
            DamagedRegionError: the region is damaged.
        """

    def read_scaled(
        self, level: int, factor: int, x: int, y: int, width: int, height: int
    ) -> np.ndarray:
        """Read a region at a fraction of a level's size.

        Args:
            level: index of the level.
            factor: px of the level per px returned, on both axes.
            x: left edge in returned px.
            y: top edge in returned px.
            width: in returned px.
            height: in returned px.

        Returns:
            ``(height, width, 3)`` uint8 RGB: the mean over ``factor x factor`` px, or what a reader
            decodes at that size.

        Raises:
            DamagedRegionError: the region is damaged.
        """
        source = self.read(level, x * factor, y * factor, width * factor, height * factor)
        reduced: np.ndarray = cv2.resize(source, (width, height), interpolation=cv2.INTER_AREA)
        return reduced

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def stored_rows(self, level: int) -> int:  # noqa: ARG002 - a file in one piece has no tiles
        """Return how many rows of a level its file stores together: the height of its tiles."""
        return 1

    def require_mpp(self) -> tuple[float, float]:
        """Return the resolution in µm/px.

        Raises:
            MissingMppError: the slide does not tell it and none was given.
        """
        if self.mpp is None:
            raise MissingMppError(
                "the slide does not tell its resolution in µm/px",
                where=self.path,
                fix="give --mpp, or a column mpp in the manifest",
            )
        return self.mpp

    def __enter__(self) -> Self:
        """Return the open slide."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        self.close()


def open_slide(
    path: Path,
    *,
    reader: dict[str, Any] | None = None,
    mpp: float | None = None,
    index_folder: Path | None = None,
) -> Slide:
    """Open a slide.

    Args:
        path: the file.
        reader: config from READERS; ``None`` takes ImageReader for plain image files,
            JpegTiffReader for the TIFF files that it reads exactly, and OpenSlideReader for
            everything else.
        mpp: resolution of level 0 in µm/px; overrides what the slide tells.
        index_folder: where JpegTiffReader keeps the places of tiles; ``None`` keeps nothing.

    Raises:
        UnreadableSlideError: the file is missing, empty, no slide, or damaged.
        MissingMppError: the resolution given or told is no sensible number.
    """
    head = check_file(path)
    if reader is not None:
        return _build(reader, path, mpp, index_folder)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return _build({"type": "ImageReader"}, path, mpp, index_folder)
    if head[:2] in _TIFF:
        try:
            return _build({"type": "JpegTiffReader"}, path, mpp, index_folder)
        except UnsuitedSlideError as error:
            _say_once(error.what)
    return _build({"type": "OpenSlideReader"}, path, mpp, index_folder)


def _build(
    reader: dict[str, Any], path: Path, mpp: float | None, index_folder: Path | None
) -> Slide:
    handed_in: dict[str, Any] = {"path": path, "mpp": mpp}
    if reader.get("type") == "JpegTiffReader":
        handed_in["index_folder"] = index_folder
    slide: Slide = READERS.build(reader, **handed_in)
    return slide


@functools.cache
def _say_once(reason: str) -> None:
    LOGGER.info("OpenSlide reads a slide that JpegTiffReader leaves to it: it %s", reason)


def check_file(path: Path) -> bytes:
    """Return a file's first bytes, and tell apart the causes that slide libraries report alike.

    Raises:
        UnreadableSlideError: there is no such file, or its content cannot be a slide.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UnreadableSlideError("is a folder, not a slide", where=path)
        if not stat.S_ISREG(mode):
            raise UnreadableSlideError("is a pipe or device, not a slide", where=path)
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except FileNotFoundError as error:
        what = "is a broken link" if path.is_symlink() else "no such file"
        raise UnreadableSlideError(what, where=path, fix="check the path") from error
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or error
        raise UnreadableSlideError(f"cannot be read: {cause}", where=path) from error
    if not head:
        raise UnreadableSlideError("is empty", where=path, fix="copy or download it again")
    if head.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in (b"<", b"{") and b"\x00" not in head:
        raise UnreadableSlideError(
            "is a text page, not a slide", where=path, fix="the download failed; fetch it again"
        )
    return head


def check_extent(path: Path, size: tuple[int, int], tile: tuple[int, int]) -> None:
    """Refuse a header that asks for more than its file can hold, before anything is allocated.

    Args:
        path: the one file that holds the slide's pixels.
        size: width and height of level 0 in px.
        tile: width and height of a stored tile in px.

    Raises:
        UnreadableSlideError: no scanner writes such a file.
    """
    stored = path.stat().st_size
    if size[0] * size[1] > stored * _MOST_PX_PER_BYTE or max(tile) > _LARGEST_TILE_PX:
        raise UnreadableSlideError(
            f"asks for {size[0]} x {size[1]} px in tiles of {tile[0]} x {tile[1]}, in a file of "
            f"{stored} bytes",
            where=path,
            fix="its header is damaged; copy or download it again",
        )


def sensible_mpp(value: float, where: object, source: str) -> float:
    """Return a resolution that can be one.

    Raises:
        MissingMppError: it is not a number, not positive, or far from any microscope's.
    """
    if not math.isfinite(value) or not MPP_RANGE[0] <= value <= MPP_RANGE[1]:
        raise MissingMppError(
            f"its resolution is {value:g} µm/px ({source}), which no slide scanner has",
            where=where,
            fix="give --mpp, or a column mpp in the manifest",
        )
    return value


def explicit_mpp(mpp: float | None, where: object) -> tuple[float, float] | None:
    """Return a resolution given by the user as (x, y).

    Raises:
        ConfigError: no microscope has it.
    """
    if mpp is None:
        return None
    try:
        value = sensible_mpp(mpp, where, "given")
    except MissingMppError as error:
        raise ConfigError(error.what, where=where, fix="give µm per pixel, such as 0.25") from error
    return value, value
