"""The overview picture of a tiled slide: tissue outline, kept and rejected tiles, scale bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from gigakit.wsi.quality import within_limits
from gigakit.wsi.slide import Slide
from gigakit.wsi.tiles import TileTable

_LONGEST_SIDE_PX = 1024
_OUTLINE = (0, 140, 70)
_TILE = (30, 90, 200)
_LITTLE_TISSUE = (150, 150, 150)
_REASONS = ((215, 90, 0), (160, 0, 160), (0, 140, 160), (190, 150, 0))
_INK = (30, 30, 30)
_FONT, _LETTERS = cv2.FONT_HERSHEY_SIMPLEX, 0.45
_LEGEND_PX = 26
_MARGIN = 16
# scale bars in mm: OpenCV's letters have no µ
_BARS_MM = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)


def overview_mpp(slide: Slide) -> float:
    """Return the µm/px at which a slide's longest side has the picture's 1024 px."""
    sides = zip(slide.level_dimensions[0], slide.require_mpp(), strict=True)
    return max(side * mpp for side, mpp in sides) / _LONGEST_SIDE_PX


def draw_overview(
    image: np.ndarray,
    mask: np.ndarray,
    table: TileTable,
    mpp: tuple[float, float],
    limits: Mapping[str, Sequence[float]] | None = None,
) -> np.ndarray:
    """Draw what segmentation and tiling made of a slide, above a line of legend.

    Args:
        image: ``(H, W, 3)`` uint8 RGB of the whole slide.
        mask: ``(H, W)`` bool, True = tissue.
        table: the kept tiles; ``overview_size`` of its attrs is set to the slide's part of the
            picture.
        mpp: µm/px of the image, (x, y).
        limits: least and largest value by column of quality; tiles beyond them have their own
            colours.

    Returns:
        uint8 RGB; the slide's longest side is 1024 px.
    """
    factor = _LONGEST_SIDE_PX / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    picture = cv2.resize(image, size, interpolation=method)
    groups = _groups(table, limits or {})
    _draw_tiles(picture, table, groups)
    # interpolated before it is cut at one half, so the outline shows no steps of mask px
    soft = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_LINEAR)
    tissue = (soft > 127).astype(np.uint8)  # noqa: PLR2004
    contours, _ = cv2.findContours(tissue, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, _OUTLINE, 1, cv2.LINE_AA)
    _draw_scale_bar(picture, mpp[0] / (size[0] / image.shape[1]))
    table.attrs["overview_size"] = size
    return np.concatenate([picture, _legend(size[0], groups)])


def encode_jpeg(picture: np.ndarray) -> bytes:
    """Return a picture ``(H, W, 3)`` uint8 RGB as JPEG."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return bytes(data)


def _groups(
    table: TileTable, limits: Mapping[str, Sequence[float]]
) -> list[tuple[str, tuple[int, int, int], np.ndarray]]:
    """Return name, colour and grid of the tiles of each fate; kept ones last, so they lie on top.

    A tile beyond several limits counts for the first.
    """
    kept, beyond = within_limits(table, limits)
    groups = [("little tissue", _LITTLE_TISSUE, table.rejected)]
    told = np.zeros(len(table), dtype=bool)
    for number, (name, marked) in enumerate(beyond.items()):
        colour = _REASONS[number % len(_REASONS)]
        groups.append((name, colour, table.grid[marked & ~told]))
        told |= marked
    return [*groups, ("kept", _TILE, table.grid[kept])]


def _draw_tiles(
    picture: np.ndarray,
    table: TileTable,
    groups: Sequence[tuple[str, tuple[int, int, int], np.ndarray]],
) -> None:
    width, height = table.attrs["slide_size"]
    scale = np.array([picture.shape[1] / width, picture.shape[0] / height])
    footprint = np.array(table.footprint)
    veil = picture.copy()
    boxes = [
        (
            colour,
            np.rint(grid * footprint * scale).astype(int).tolist(),
            np.rint((grid * footprint + footprint) * scale).astype(int).tolist(),
        )
        for _, colour, grid in groups
    ]
    for colour, corners, ends in boxes:
        for corner, end in zip(corners, ends, strict=True):
            cv2.rectangle(veil, corner, end, colour, cv2.FILLED)
    cv2.addWeighted(veil, 0.12, picture, 0.88, 0, dst=picture)
    for colour, corners, ends in boxes:
        for corner, end in zip(corners, ends, strict=True):
            cv2.rectangle(picture, corner, end, colour, 1)


def _legend(
    width: int, groups: Sequence[tuple[str, tuple[int, int, int], np.ndarray]]
) -> np.ndarray:
    """Return a line ``(26, width, 3)`` that names the colours and counts their tiles."""
    line = np.full((_LEGEND_PX, width, 3), 255, dtype=np.uint8)
    entries = [("tissue", _OUTLINE)] + [
        (f"{name} {len(grid):,}", colour) for name, colour, grid in reversed(groups)
    ]
    left = 8
    for text, colour in entries:
        cv2.rectangle(line, (left, 8), (left + 10, 18), colour, cv2.FILLED)
        cv2.putText(line, text, (left + 16, 18), _FONT, _LETTERS, _INK, 1, cv2.LINE_AA)
        left += 16 + cv2.getTextSize(text, _FONT, _LETTERS, 1)[0][0] + 18
    return line


def _draw_scale_bar(picture: np.ndarray, mpp: float) -> None:
    height, width = picture.shape[:2]
    fitting = [bar for bar in _BARS_MM if bar * 1000 / mpp <= width / 3]
    if not fitting:
        return
    length = round(fitting[-1] * 1000 / mpp)
    text = f"{fitting[-1]:g} mm"
    font, size = _FONT, 0.5
    (text_width, text_height), _ = cv2.getTextSize(text, font, size, 1)
    right, base = width - 1 - _MARGIN, height - 1 - _MARGIN
    left = right - length
    box = min(left, right - text_width) - 8
    top = base - text_height - 18
    picture[top : base + 9, box : right + 9] //= 5
    picture[top : base + 9, box : right + 9] += 204
    cv2.rectangle(picture, (left, base - 1), (right - 1, base + 1), _INK, cv2.FILLED)
    place = ((left + right - text_width) // 2, base - 9)
    cv2.putText(picture, text, place, font, size, _INK, 1, cv2.LINE_AA)
