"""What a file really is that no slide library opens: they report every cause alike."""

from __future__ import annotations

import struct
from pathlib import Path

from gigakit.core.errors import UnreadableSlideError

_IMAGES = {b"\xff\xd8\xff": "a JPEG image", b"\x89PNG": "a PNG image", b"BM": "a BMP image"}
_OTHERS = {b"PK\x03\x04": "a zip archive", b"\x1f\x8b": "a gzip archive", b"%PDF": "a PDF"}
_HEAD_BYTES = 16


def diagnose(path: Path) -> UnreadableSlideError:
    """Return the error that tells why a readable, non-empty file is no slide."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    if path.suffix.lower() == ".mrxs" and not path.with_suffix("").is_dir():
        return UnreadableSlideError(
            f"has no folder '{path.stem}' beside it, which holds a MIRAX slide's pixels",
            where=path,
            fix="copy the folder too",
        )
    for begin, content in _IMAGES.items():
        if head.startswith(begin):
            return UnreadableSlideError(
                f"is {content}, not a slide",
                where=path,
                fix="give it that suffix, or the reader ImageReader; and its --mpp",
            )
    for begin, content in _OTHERS.items():
        if head.startswith(begin):
            return UnreadableSlideError(f"is {content}, not a slide", where=path)
    directory = _tiff_directory(head)
    if directory is None:
        return UnreadableSlideError("is no slide that OpenSlide knows", where=path)
    if directory >= path.stat().st_size:
        return UnreadableSlideError(
            f"is cut short: {path.stat().st_size} bytes, with its directory at byte {directory}",
            where=path,
            fix="copy or download it again",
        )
    return UnreadableSlideError(
        "is a TIFF of a kind that OpenSlide does not read, or is damaged",
        where=path,
        fix="convert it to a tiled pyramid, or copy it again",
    )


def _tiff_directory(head: bytes) -> int | None:
    """Return the byte at which a TIFF's first directory begins; ``None`` for other files."""
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < _HEAD_BYTES:
        return None
    classic, small, large = struct.unpack(f"{order}2xHIQ", head)
    return {42: small, 43: large}.get(classic)
