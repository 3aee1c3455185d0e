"""Pictures of what an attention variant does on a slide."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from gigakit.tasks.pictures import grid_picture
from gigakit.wsi.tiles import TileTable

_BRIGHTEST = 99.0
_INK = (40, 40, 40)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_BAR_HEIGHT, STRIP_HEIGHT = 10, 44
_LEAST_WIDTH = 300
_OPACITY = 0.6
_PATTERN_SIDE_PX = 384


def weight_colours(weights: np.ndarray, top: float) -> np.ndarray:
    """Map weights from 0 to ``top`` to colours.

    Args:
        weights: ``(N,)``.
        top: what gets the brightest colour; larger values get it too.

    Returns:
        ``(N, 3)`` uint8 RGB.
    """
    grey = np.rint(255 * np.clip(weights / max(top, 1e-12), 0, 1)).astype(np.uint8)
    coloured = cv2.applyColorMap(grey.reshape(-1, 1), cv2.COLORMAP_INFERNO)
    rgb: np.ndarray = cv2.cvtColor(coloured, cv2.COLOR_BGR2RGB)[:, 0]
    return rgb


def attention_picture(
    weights: np.ndarray,
    grid: np.ndarray,
    *,
    overview: np.ndarray | None = None,
    table: TileTable | None = None,
) -> np.ndarray:
    """Draw the weights that a token gives a slide's tiles.

    Args:
        weights: ``(N,)``, of all tiles.
        grid: ``(N, 2)`` positions in tiles.
        overview: ``(H, W, 3)`` uint8 RGB picture of the whole slide; without it, or without
            ``table``, the tile grid is drawn.
        table: the slide's tiles, which tell how large a tile is on the overview.

    Returns:
        uint8 RGB, with a colour bar in multiples of the uniform weight ``1 / N``. The brightest
        colour is the 99th percentile.
    """
    relative = weights * len(weights)
    top = float(np.percentile(relative, _BRIGHTEST)) if len(weights) else 1.0
    colours = weight_colours(relative, top)
    if overview is None or table is None:
        picture = grid_picture(grid, colours)
    else:
        picture = over_overview(overview, table, grid, colours)
    return with_bar(picture, "attention of cls", "0", f"{top:.2g} x uniform")


def reach_picture(heads: np.ndarray, total: int, grid: np.ndarray, title: str) -> np.ndarray:
    """Draw how many heads link a token to each tile.

    Args:
        heads: ``(N,)``.
        total: number of heads.
        grid: ``(N, 2)`` positions in tiles.
        title: which token.
    """
    picture = grid_picture(grid, weight_colours(heads, total))
    return with_bar(picture, title, "0", f"{total} heads")


def pattern_picture(heads: np.ndarray, total: int, tokens: int) -> np.ndarray:
    """Draw which keys (across) the queries (down) of a sequence reach.

    Args:
        heads: ``(queries, keys)``, the number of heads that link them.
        total: number of heads.
        tokens: length of the sequence.
    """
    colours = weight_colours(heads.reshape(-1), total).reshape(*heads.shape, 3)
    size = (_PATTERN_SIDE_PX, _PATTERN_SIDE_PX)
    picture = cv2.resize(colours, size, interpolation=cv2.INTER_NEAREST)
    return with_bar(picture, f"keys of each query, {tokens} tokens", "0", f"{total} heads")


def beside(*pictures: np.ndarray) -> np.ndarray:
    """Put pictures side by side on white, aligned at the top."""
    height = max(len(picture) for picture in pictures)
    framed = [
        cv2.copyMakeBorder(
            *(picture, 0, height - len(picture), 0, 16, cv2.BORDER_CONSTANT),
            value=(255, 255, 255),
        )
        for picture in pictures
    ]
    return np.concatenate(framed, axis=1)


def over_overview(
    overview: np.ndarray, table: TileTable, grid: np.ndarray, colours: np.ndarray
) -> np.ndarray:
    """Draw tiles in their colours over the slide's part of an overview picture.

    Args:
        overview: ``(H, W, 3)`` uint8 RGB.
        table: the slide's tiles, which tell how large a tile is.
        grid: ``(N, 2)`` positions in tiles.
        colours: ``(N, 3)`` uint8 RGB.
    """
    width, height = table.attrs["slide_size"]
    footprint = np.array(table.footprint)
    # below the slide's part lies the legend
    across, down = table.attrs.get("overview_size", (overview.shape[1], overview.shape[0]))
    overview = overview[:down, :across]
    scale = footprint * [across / width, down / height]
    veil = overview.copy()
    corners, ends = np.rint(grid * scale).astype(int), np.rint((grid + 1) * scale).astype(int)
    for (left, top), (right, bottom), colour in zip(corners, ends, colours, strict=True):
        cv2.rectangle(veil, (left, top), (right, bottom), colour.tolist(), cv2.FILLED)
    return cv2.addWeighted(veil, _OPACITY, overview, 1 - _OPACITY, 0)


def with_bar(
    picture: np.ndarray,
    title: str,
    low: str,
    high: str,
    colours: Callable[[np.ndarray, float], np.ndarray] = weight_colours,
) -> np.ndarray:
    """Put a title and a colour bar with its two ends above a picture.

    Args:
        picture: ``(H, W, 3)`` uint8 RGB.
        title: what the colours show.
        low: the least value, as text.
        high: the largest.
        colours: maps values, here from 0 to 1, and their top to colours.
    """
    (high_width, _), _ = cv2.getTextSize(high, _FONT, 0.4, 1)
    missing = max(0, _LEAST_WIDTH - picture.shape[1])
    framed = cv2.copyMakeBorder(
        *(picture, STRIP_HEIGHT, 0, 0, missing, cv2.BORDER_CONSTANT), value=(255, 255, 255)
    )
    cv2.putText(framed, title, (2, 14), _FONT, 0.45, _INK, 1, cv2.LINE_AA)
    (low_width, _), _ = cv2.getTextSize(low, _FONT, 0.4, 1)
    left, right = low_width + 8, framed.shape[1] - high_width - 12
    ramp = colours(np.linspace(0, 1, right - left), 1.0)
    framed[24 : 24 + _BAR_HEIGHT, left:right] = ramp
    cv2.putText(framed, low, (3, 33), _FONT, 0.4, _INK, 1, cv2.LINE_AA)
    cv2.putText(framed, high, (right + 6, 33), _FONT, 0.4, _INK, 1, cv2.LINE_AA)
    return framed
