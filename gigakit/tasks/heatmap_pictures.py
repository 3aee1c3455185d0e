"""Heat-maps of a slide: which tiles a prediction rests on, and which speak for or against it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from gigakit.tasks.attention_pictures import (
    STRIP_HEIGHT,
    beside,
    over_overview,
    weight_colours,
    with_bar,
)
from gigakit.tasks.pictures import grid_picture
from gigakit.wsi.tiles import TileTable

_BRIGHTEST = 99.0
_INK = (40, 40, 40)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_AGAINST, _NEITHER, _FOR = (33, 102, 172), (247, 247, 247), (178, 24, 43)
_LINE_PX = 26
_LONGEST_SIDE_PX, _CELL_PX = 1024, 14


@dataclass(frozen=True)
class Background:
    """What the tiles of a slide are drawn over.

    Args:
        overview: ``(H, W, 3)`` uint8 RGB picture of the whole slide.
        table: the slide's tiles, which tell how large a tile is on it.
    """

    overview: np.ndarray
    table: TileTable


def signed_colours(values: np.ndarray, top: float) -> np.ndarray:
    """Map values from ``-top`` (blue) over 0 (white) to ``top`` (red) to colours ``(N, 3)`` uint8.

    Args:
        values: ``(N,)``; those beyond get the end's colour.
        top: positive.
    """
    share = np.clip(values / max(top, 1e-12), -1, 1)[:, None]
    end = np.where(share < 0, np.array(_AGAINST, float), np.array(_FOR, float))
    mixed = np.array(_NEITHER, float) * (1 - abs(share)) + end * abs(share)
    return np.rint(mixed).astype(np.uint8)


def attention_map(
    weights: np.ndarray, grid: np.ndarray, title: str, background: Background | None = None
) -> np.ndarray:
    """Draw weights of tiles, from 0 to their 99th percentile, in multiples of the uniform weight.

    Args:
        weights: ``(N,)``, sum 1.
        grid: ``(N, 2)`` positions in tiles.
        title: what they are.
        background: what to draw over; ``None`` draws the tile grid.
    """
    relative = weights * len(weights)
    top = float(np.percentile(relative, _BRIGHTEST))
    picture = _tiles(grid, weight_colours(relative, top), background)
    return with_bar(picture, title, "0", f"{top:.2g} x uniform")


def contribution_map(
    values: np.ndarray, grid: np.ndarray, title: str, background: Background | None = None
) -> np.ndarray:
    """Draw what tiles add to an output, symmetric about 0, up to the 99th percentile of the size.

    Args:
        values: ``(N,)``.
        grid: ``(N, 2)`` positions in tiles.
        title: what they are.
        background: what to draw over; ``None`` draws the tile grid.
    """
    top = float(np.percentile(abs(values), _BRIGHTEST))
    picture = _tiles(grid, signed_colours(values, top), background)
    return with_bar(picture, title, f"-{top:.2g}", f"+{top:.2g}", _signed_ramp)


def slide_picture(panels: list[np.ndarray], caption: str) -> np.ndarray:
    """Put a slide's panels side by side under a line of text.

    Args:
        panels: uint8 RGB pictures.
        caption: the slide, its label and its prediction; letters beyond ASCII become ``?``.
    """
    picture = beside(*panels)
    framed = cv2.copyMakeBorder(
        *(picture, _LINE_PX, 0, 8, 0, cv2.BORDER_CONSTANT), value=(255, 255, 255)
    )
    (width, _), _ = cv2.getTextSize(caption, _FONT, 0.5, 1)
    size = 0.5 * min(1.0, (framed.shape[1] - 20) / max(width, 1))
    cv2.putText(framed, caption, (10, 17), _FONT, size, _INK, 1, cv2.LINE_AA)
    return framed


def plain_overview(background: Background) -> np.ndarray:
    """Return the slide's part of the overview, as tall as a heat-map beside it."""
    across, down = background.table.attrs.get(
        "overview_size", (background.overview.shape[1], background.overview.shape[0])
    )
    white = (255, 255, 255)
    return cv2.copyMakeBorder(
        *(background.overview[:down, :across], STRIP_HEIGHT, 0, 0, 0, cv2.BORDER_CONSTANT),
        value=white,
    )


def _tiles(grid: np.ndarray, colours: np.ndarray, background: Background | None) -> np.ndarray:
    if background is not None:
        return over_overview(background.overview, background.table, grid, colours)
    cells = float(np.ptp(grid, axis=0).max()) + 1
    side = int(np.clip(_LONGEST_SIDE_PX // cells, 2, _CELL_PX))
    return grid_picture(grid, colours, cell_px=side)


def _signed_ramp(shares: np.ndarray, top: float) -> np.ndarray:
    """Return the colours of a bar whose left end, 0, is the most negative value."""
    return signed_colours(2 * shares - top, top)
