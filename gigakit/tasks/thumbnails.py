"""Small square pictures of slides, and sheets of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from gigakit.core.errors import StoreError
from gigakit.tasks.nearest_slides import Neighbour
from gigakit.tasks.slide_collection import SlideCollection
from gigakit.wsi.tile_places import read_overview
from gigakit.wsi.tiles import TileTable

_INK, _GREY = (40, 40, 40), 225
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GAP, _LINE_PX = 8, 16


def slide_thumbnail(folders: Sequence[Path], slide_id: str, side_px: int) -> np.ndarray:
    """Return a slide's overview, fitted into a white square; grey where there is none.

    Args:
        folders: of tile files, beside which overviews lie; the first that has one counts.
        slide_id: the slide.
        side_px: of the square.

    Returns:
        ``(side_px, side_px, 3)`` uint8 RGB.
    """
    for folder in folders:
        tiles = folder / f"{slide_id}.h5"
        picture = read_overview(tiles)
        if picture is not None:
            return _fitted(_without_legend(picture, tiles), side_px)
    return np.full((side_px, side_px, 3), _GREY, dtype=np.uint8)


def contact_sheet(
    pictures: Sequence[np.ndarray], captions: Sequence[Sequence[str]], columns: int
) -> np.ndarray:
    """Lay pictures out row by row, each above its lines of text.

    Args:
        pictures: squares ``(S, S, 3)`` uint8 RGB.
        captions: lines of each; as many lines for all.
        columns: pictures in a row.

    Returns:
        uint8 RGB. Text is made smaller until it fits; letters beyond ASCII become ``?``.
    """
    side = len(pictures[0])
    height = side + _LINE_PX * len(captions[0]) + _GAP
    rows = -(-len(pictures) // columns)
    across = min(columns, len(pictures)) * (side + _GAP) + _GAP
    sheet = np.full((rows * height + _GAP, across, 3), 255, dtype=np.uint8)
    for number, (picture, lines) in enumerate(zip(pictures, captions, strict=True)):
        top, left = _GAP + number // columns * height, _GAP + number % columns * (side + _GAP)
        sheet[top : top + side, left : left + side] = picture
        for line, text in enumerate(lines):
            base = top + side + 12 + line * _LINE_PX
            width = cv2.getTextSize(text, _FONT, 0.4, 1)[0][0]
            size = 0.4 * min(1.0, side / max(width, 1))
            cv2.putText(sheet, text, (left, base), _FONT, size, _INK, 1, cv2.LINE_AA)
    return sheet


def nearest_sheet(
    collection: SlideCollection,
    found: Mapping[int, Sequence[Neighbour]],
    overviews: Sequence[Path],
    side_px: int = 224,
) -> np.ndarray:
    """Draw slides, each followed in its row by its nearest ones.

    Args:
        collection: all slides.
        found: the nearest slides of some, by their numbers; as many for each.
        overviews: folders of tile files, beside which overviews lie.
        side_px: of a thumbnail.
    """
    labels = list(collection.columns.values())
    pictures, captions = [], []
    for query, near in found.items():
        for row, cosine in [(query, ""), *((one.row, f"{one.cosine:.3f}") for one in near)]:
            slide = collection.slides[row]
            pictures.append(slide_thumbnail(overviews, slide, side_px))
            said = ", ".join(column[row] for column in labels if column[row])
            captions.append((slide, cosine or "query", said))
    columns = 1 + max(len(near) for near in found.values())
    return contact_sheet(pictures, captions, columns)


def _without_legend(picture: np.ndarray, tiles: Path) -> np.ndarray:
    if not tiles.is_file():
        return picture
    try:
        across, down = TileTable.load(tiles).attrs.get("overview_size", picture.shape[1::-1])
    except StoreError:
        # a thumbnail needs no sound tile file
        return picture
    return picture[:down, :across]


def _fitted(picture: np.ndarray, side_px: int) -> np.ndarray:
    height, width = picture.shape[:2]
    factor = side_px / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    square = np.full((side_px, side_px, 3), 255, dtype=np.uint8)
    top, left = (side_px - size[1]) // 2, (side_px - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = small
    return square
