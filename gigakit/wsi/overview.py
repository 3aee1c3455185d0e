"""The overview picture of a tiled slide: thumbnail, tissue outline, kept tiles, scale bar."""

from __future__ import annotations

import cv2
import numpy as np

from gigakit.wsi.slide import Slide
from gigakit.wsi.tiles import TileTable

_LONGEST_SIDE_PX = 1024
_OUTLINE = (0, 140, 70)
_TILE = (30, 90, 200)
_INK = (30, 30, 30)
_MARGIN = 16
# scale bars in mm: OpenCV's letters have no µ
_BARS_MM = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)


def overview_mpp(slide: Slide) -> float:
    """Return the µm/px at which a slide's longest side has the picture's 1024 px."""
    sides = zip(slide.level_dimensions[0], slide.require_mpp(), strict=True)
    return max(side * mpp for side, mpp in sides) / _LONGEST_SIDE_PX


def draw_overview(
    image: np.ndarray, mask: np.ndarray, table: TileTable, mpp: tuple[float, float]
) -> np.ndarray:
    """Draw what segmentation and tiling made of a slide.

    Args:
        image: ``(H, W, 3)`` uint8 RGB of the whole slide.
        mask: ``(H, W)`` bool, True = tissue.
        table: the kept tiles.
        mpp: µm/px of the image, (x, y).

    Returns:
        uint8 RGB whose longest side is 1024 px.
    """
    factor = _LONGEST_SIDE_PX / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    picture = cv2.resize(image, size, interpolation=method)
    _draw_tiles(picture, table)
    # interpolated before it is cut at one half, so the outline shows no steps of mask px
    soft = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_LINEAR)
    tissue = (soft > 127).astype(np.uint8)  # noqa: PLR2004
    contours, _ = cv2.findContours(tissue, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, _OUTLINE, 1, cv2.LINE_AA)
    _draw_scale_bar(picture, mpp[0] / (size[0] / image.shape[1]))
    return picture


def encode_jpeg(picture: np.ndarray) -> bytes:
    """Return a picture ``(H, W, 3)`` uint8 RGB as JPEG."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    return bytes(data)


def _draw_tiles(picture: np.ndarray, table: TileTable) -> None:
    width, height = table.attrs["slide_size"]
    scale = np.array([picture.shape[1] / width, picture.shape[0] / height])
    footprint = np.array(table.footprint)
    corners = np.rint(table.grid * footprint * scale).astype(int)
    ends = np.rint((table.grid * footprint + footprint) * scale).astype(int)
    veil = picture.copy()
    for (left, top), (right, bottom) in zip(corners, ends, strict=True):
        cv2.rectangle(veil, (left, top), (right, bottom), _TILE, cv2.FILLED)
    cv2.addWeighted(veil, 0.12, picture, 0.88, 0, dst=picture)
    for (left, top), (right, bottom) in zip(corners, ends, strict=True):
        cv2.rectangle(picture, (left, top), (right, bottom), _TILE, 1)


def _draw_scale_bar(picture: np.ndarray, mpp: float) -> None:
    height, width = picture.shape[:2]
    fitting = [bar for bar in _BARS_MM if bar * 1000 / mpp <= width / 3]
    if not fitting:
        return
    length = round(fitting[-1] * 1000 / mpp)
    text = f"{fitting[-1]:g} mm"
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.5
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
