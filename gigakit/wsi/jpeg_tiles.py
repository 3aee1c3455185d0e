"""One stored JPEG tile: whole, from parts of its file, and strictly decoded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import simplejpeg

_START, _END = b"\xff\xd8", b"\xff\xd9"
# Adobe's marker with transform 0: the three components are red, green and blue
_ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"


@dataclass(frozen=True)
class JpegForm:
    """What a level's JPEG tiles have in common.

    Args:
        width: of a stored tile in px.
        height: of a stored tile in px.
        prefix: what each tile's stream lacks at its beginning: shared tables, the mark of RGB.
    """

    width: int
    height: int
    prefix: bytes

    @classmethod
    def of(cls, width: int, height: int, tables: bytes, *, rgb: bool) -> JpegForm:
        """Return the form of tiles.

        Args:
            width: of a tile in px.
            height: of a tile in px.
            tables: the TIFF's JPEGTables, an abbreviated stream of its own; may be empty.
            rgb: the components are red, green and blue, which Aperio's streams do not tell.
        """
        inner = tables.removeprefix(_START).removesuffix(_END)
        return cls(width, height, _START + (_ADOBE_RGB if rgb else b"") + inner)


def decode_tile(data: bytes, form: JpegForm, factor: int = 1) -> np.ndarray:
    """Decode a tile strictly: what is damaged raises, and is never filled with made-up pixels.

    Args:
        data: the tile's bytes as they are stored.
        form: what the level's tiles have in common.
        factor: 1, 2, 4 or 8: decode at that fraction of the size, from as many of each block's
            frequencies (libjpeg-turbo's scaled inverse DCT).

    Returns:
        ``(height / factor, width / factor, 3)`` uint8 RGB.

    Raises:
        ValueError: the bytes are no whole JPEG tile of that form.
    """
    if data[:2] != _START:
        raise ValueError("holds no JPEG")
    stream = data if form.prefix == _START else form.prefix + data[2:]
    height, width, _, _ = simplejpeg.decode_jpeg_header(stream)
    if (width, height) != (form.width, form.height):
        raise ValueError(f"is {width} x {height} px, not {form.width} x {form.height}")
    pixels: np.ndarray = simplejpeg.decode_jpeg(
        stream, min_height=height // factor, min_width=width // factor
    )
    return pixels
