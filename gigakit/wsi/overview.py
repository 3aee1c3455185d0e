"""The overview picture of a tiled slide: thumbnail, tissue outline, kept tiles, scale bar."""

from __future__ import annotations

import cv2
import numpy as np

from gigakit.wsi.tiles import TileTable

_LONGEST_SIDE_PX = 1024
_OUTLINE = (0, 110, 60)
_TILE = (30, 90, 200)
_INK = (30, 30, 30)
# scale bars a reader knows, in µm
_BARS_UM = (50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)


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
    outline = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_LINEAR)
    contours, _ = cv2.findContours(outline, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
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
    fitting = [bar for bar in _BARS_UM if bar / mpp <= width / 3]
    if not fitting:
        return
    length = round(fitting[-1] / mpp)
    text = f"{fitting[-1]} um" if fitting[-1] < 1000 else f"{fitting[-1] // 1000} mm"  # noqa: PLR2004
    left, base = width - length - 16, height - 16
    cv2.rectangle(
        picture, (left - 8, base - 26), (width - 8, base + 8), (255, 255, 255), cv2.FILLED
    )
    cv2.line(picture, (left, base), (left + length, base), _INK, 3)
    cv2.putText(
        picture, text, (left, base - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK, 1, cv2.LINE_AA
    )
