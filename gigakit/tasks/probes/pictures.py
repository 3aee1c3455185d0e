"""Pictures of a probe: what is taken for what, and which tiles lie near each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from gigakit.tasks.patch_maps import stacked
from gigakit.tasks.probes.labelled import LabelledFeatures

_INK = (40, 40, 40)
_WHITE = (255, 255, 255)
_RIGHT, _WRONG = (40, 140, 60), (200, 50, 40)
_FULL = np.array([33, 102, 172])
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CELL_PX, _SIDE_PX, _FRAME_PX, _TEXT_PX = 64, 128, 4, 16
_LONGEST = 24
_AXES = "class down, prediction across"


def confusion_picture(confusion: np.ndarray, classes: Sequence[str], title: str) -> np.ndarray:
    """Draw a confusion matrix: numbers of tiles, coloured by their share of the true class.

    Args:
        confusion: ``(C, C)``, class down, prediction across.
        classes: their names.
        title: above it.
    """
    names = [_cut(name) for name in classes]
    left = 16 + max(_width(name) for name in names)
    top, cells = 64, len(names) * _CELL_PX
    width = max(left + cells, _width(title) + 8, _width(_AXES) + 8) + 8
    # names of columns stand as numbers, which the rows explain
    picture = np.full((top + cells + 8, width, 3), 255, dtype=np.uint8)
    _write(picture, title, (4, 18))
    _write(picture, _AXES, (4, 38))
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    for row, name in enumerate(names):
        y = top + row * _CELL_PX
        _write(picture, f"{row + 1} {name}"[: _LONGEST + 3], (4, y + _CELL_PX // 2 + 5))
        _write(picture, str(row + 1), (left + row * _CELL_PX + _CELL_PX // 2 - 4, top - 8))
        for column in range(len(names)):
            share = float(shares[row, column])
            x = left + column * _CELL_PX
            colour = np.rint(255 + share * (_FULL - 255)).astype(int).tolist()
            cv2.rectangle(picture, (x, y), (x + _CELL_PX - 2, y + _CELL_PX - 2), colour, cv2.FILLED)
            text = str(confusion[row, column])
            place = (x + (_CELL_PX - _width(text)) // 2, y + _CELL_PX // 2 + 5)
            _write(picture, text, place, _WHITE if share > 0.5 else _INK)  # noqa: PLR2004
    return picture


def some_tiles(data: LabelledFeatures, split: str, number: int) -> np.ndarray:
    """Return the rows of some tiles of a split: of each class in turn, of cases far apart."""
    chosen: list[int] = []
    inside = data.part(split)
    members = [np.flatnonzero(inside & (data.labels == c)) for c in range(len(data.classes))]
    rounds = -(-number // max(1, sum(len(one) > 0 for one in members)))
    for turn in range(rounds):
        for one in members:
            spread = min(rounds, len(one))
            chosen += [int(one[turn * len(one) // spread])] if turn < spread else []
    return np.array(sorted(chosen[:number], key=lambda row: int(data.labels[row])), dtype=np.int64)


def neighbours_picture(
    data: LabelledFeatures,
    pixels: Callable[[int], np.ndarray],
    *,
    tiles: int = 8,
    neighbours: int = 6,
) -> np.ndarray:
    """Draw test tiles, each with its nearest train and val tiles, framed by whether they agree.

    Args:
        data: the embeddings.
        pixels: returns the tile of a row of ``data``.
        tiles: test tiles to draw.
        neighbours: of each.
    """
    known = np.flatnonzero(data.part("train", "val"))
    normed = data.features / np.maximum(np.linalg.norm(data.features, axis=1, keepdims=True), 1e-12)
    rows = []
    for tile in some_tiles(data, "test", tiles):
        similarity = normed[known] @ normed[tile]
        nearest = np.argsort(-similarity, kind="stable")[:neighbours]
        label = int(data.labels[tile])
        row = [_framed(pixels(int(tile)), _cut(data.classes[label]), _INK)]
        for place in nearest:
            other = int(known[place])
            same = int(data.labels[other]) == label
            text = f"{similarity[place]:.2f} {_cut(data.classes[data.labels[other]])}"
            row.append(_framed(pixels(other), text, _RIGHT if same else _WRONG))
        rows.append(stacked(row, axis=1))
    return stacked(rows, axis=0)


def _framed(tile: np.ndarray, text: str, colour: tuple[int, int, int]) -> np.ndarray:
    small = cv2.resize(tile, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
    side = _SIDE_PX + 2 * _FRAME_PX
    framed = np.full((_TEXT_PX + side, side, 3), 255, dtype=np.uint8)
    framed[_TEXT_PX:] = colour
    framed[_TEXT_PX + _FRAME_PX : -_FRAME_PX, _FRAME_PX:-_FRAME_PX] = small
    cv2.putText(framed, text, (2, 12), _FONT, 0.36, _INK, 1, cv2.LINE_AA)
    return framed


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 2]}.."


def _width(text: str) -> int:
    (width, _), _ = cv2.getTextSize(text, _FONT, 0.5, 1)
    return int(width)


def _write(
    picture: np.ndarray, text: str, place: tuple[int, int], colour: tuple[int, int, int] = _INK
) -> None:
    cv2.putText(picture, text, place, _FONT, 0.5, colour, 1, cv2.LINE_AA)
