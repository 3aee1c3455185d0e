"""Which stored images of a JPEG-tiled TIFF are its levels, and what the slide tells of itself."""

from __future__ import annotations

import logging
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import tifffile

from gigakit.core.errors import UnreadableSlideError, UnsuitedSlideError
from gigakit.wsi.jpeg_tiles import decode_tile
from gigakit.wsi.readers.openslide_reader import OpenSlideReader
from gigakit.wsi.slide import check_extent, sensible_mpp
from gigakit.wsi.tiff_index import TiffIndex, TiffLevel, tiled_levels

LOGGER = logging.getLogger(__name__)

# formats whose levels are plain grids of tiles; the others have overlaps or moved tiles
VENDORS = ("aperio", "generic-tiff")
# of a file that was cut short, so much may lie beyond its end
_MOST_LOST = 0.01
_APERIO_MPP = re.compile(r"\|\s*MPP\s*=\s*([0-9.]+)")
_UNITS_IN_UM = {"µm": 1.0, "um": 1.0, "mm": 1e3, "nm": 1e-3, "cm": 1e4, "m": 1e6}


def build_index(path: Path) -> TiffIndex:
    """Read a file's directories once, and try out that its tiles are read as OpenSlide does.

    Raises:
        UnsuitedSlideError: it has no JPEG tiles, or they cannot be read exactly.
        UnreadableSlideError: it is cut short, or asks for more than a slide can hold.
        MissingMppError: the slide tells a resolution that cannot be one.
    """
    stored = tiled_levels(path)
    if not stored:
        raise UnsuitedSlideError("has no tiles of 8-bit JPEG", where=path)
    vendor = openslide.OpenSlide.detect_format(path)
    if vendor is None:
        return _alone(path, stored, "tiff")
    if vendor not in VENDORS:
        raise UnsuitedSlideError(f"is of the format {vendor}", where=path)
    try:
        opened = OpenSlideReader(path)
    except UnreadableSlideError as error:
        # OpenSlide needs every byte of a file that was cut short
        LOGGER.info("%s; what is left of it is read without OpenSlide", error)
        return _alone(path, stored, vendor)
    with opened as slide:
        index = TiffIndex(
            levels=_matching(stored, slide),
            downsamples=tuple(slide.level_downsamples),
            vendor=slide.vendor,
            mpp=slide.mpp,
            mpp_source=slide.mpp_source,
            background=slide.background,
        )
        _check_extent(index, path)
        _compare(index, slide)
    return index


def _matching(stored: list[TiffLevel], slide: OpenSlideReader) -> tuple[TiffLevel, ...]:
    """Return the stored image of each level that OpenSlide finds."""
    by_size = {(level.width, level.height): level for level in reversed(stored)}
    levels = [by_size.get((width, height)) for width, height in slide.level_dimensions]
    missing = [number for number, level in enumerate(levels) if level is None]
    if missing:
        raise UnsuitedSlideError(
            f"does not store its level {missing[0]} in tiles of 8-bit JPEG", where=slide.path
        )
    if any((level.sizes == 0).any() for level in levels if level is not None):
        raise UnsuitedSlideError("leaves tiles out, which OpenSlide fills in", where=slide.path)
    return tuple(level for level in levels if level is not None)


def _compare(index: TiffIndex, slide: OpenSlideReader) -> None:
    """Compare the fullest tile of each level with OpenSlide's pixels.

    Raises:
        UnsuitedSlideError: one differs.
    """
    with slide.path.open("rb") as file:
        for number, level in enumerate(index.levels):
            whole = level.sizes.copy().reshape(level.rows, level.columns)
            # a tile at the border is partly beyond the level
            inner = whole[: level.height // level.form.height, : level.width // level.form.width]
            if not inner.size:
                continue
            row, column = np.unravel_index(int(inner.argmax()), inner.shape)
            at = int(row) * level.columns + int(column)
            file.seek(int(level.offsets[at]))
            width, height = level.form.width, level.form.height
            try:
                ours = decode_tile(file.read(int(level.sizes[at])), level.form)
                theirs = slide.read(number, int(column) * width, int(row) * height, width, height)
            except (ValueError, UnreadableSlideError):
                # damage is told when that tile is wanted
                continue
            if not np.array_equal(ours, theirs):
                raise UnsuitedSlideError(
                    f"has JPEG tiles at level {number} that OpenSlide decodes otherwise",
                    where=slide.path,
                )


def _check_extent(index: TiffIndex, path: Path) -> None:
    level, size = index.levels[0], path.stat().st_size
    check_extent(path, (level.width, level.height), (level.form.width, level.form.height))
    lost = int((level.offsets + level.sizes > size).sum())
    if lost > _MOST_LOST * len(level.offsets):
        raise UnreadableSlideError(
            f"is cut short: {lost} of {len(level.offsets)} tiles lie beyond its {size} bytes",
            where=path,
            fix="copy or download it again",
        )


def _alone(path: Path, stored: list[TiffLevel], vendor: str) -> TiffIndex:
    """Return the index of a TIFF that OpenSlide does not know, such as OME-TIFF."""
    largest = max(stored, key=lambda level: level.width * level.height)
    levels = [largest]
    for level in sorted(stored, key=lambda level: -level.width):
        step = largest.width / level.width
        same = math.isclose(largest.height / level.height, step, rel_tol=0.02)
        if level.width < levels[-1].width and same:
            levels.append(level)
    mpp, source = _told_mpp(path)
    index = TiffIndex(
        levels=tuple(levels),
        downsamples=tuple(
            (largest.width / level.width + largest.height / level.height) / 2 for level in levels
        ),
        vendor=vendor,
        mpp=mpp,
        mpp_source=source,
        background=(255, 255, 255),
    )
    _check_extent(index, path)
    return index


def _told_mpp(path: Path) -> tuple[tuple[float, float] | None, str]:
    """Return µm/px of level 0 and where the file tells it: OME-XML, Aperio's text, or the tags."""
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        if file.ome_metadata:
            found, source = _ome_mpp(tifffile.xml2dict(file.ome_metadata)), "OME-XML"
        elif told := _APERIO_MPP.search(page.description):
            found, source = [float(told[1])] * 2, "slide"
        elif "XResolution" in page.tags and page.resolutionunit == tifffile.RESUNIT.CENTIMETER:
            found, source = [1e4 / value if value else 0.0 for value in page.resolution], "slide"
        else:
            return None, "slide"
    values = [sensible_mpp(value, path, source) for value in found]
    return ((values[0], values[1]) if values else None), source


def _ome_mpp(metadata: dict[str, Any]) -> list[float]:
    image = metadata.get("OME", {}).get("Image", {})
    pixels = (image[0] if isinstance(image, list) else image).get("Pixels", {})
    values = []
    for axis in ("X", "Y"):
        size, unit = pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")
        if size is None or unit not in _UNITS_IN_UM:
            return []
        values.append(float(size) * _UNITS_IN_UM[unit])
    return values
