"""Pictures of embeddings on the tile grid."""

from __future__ import annotations

import cv2
import numpy as np

_EMPTY = 255
_HIDDEN = 208
# positions in tiles that differ by less are one place
_SAME_PLACE = 1e-6
# columns of a lattice are not closer
_LEAST_STRIDE = 1 / 16


def embedding_colours(features: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Map embeddings to colours by the first three principal components of a reference.

    Args:
        features: ``(N, D)``, what to colour.
        reference: ``(M, D)`` embeddings that fix the components and their range (2nd to 98th
            percentile), so that several pictures share one colour code.

    Returns:
        ``(N, 3)`` uint8 RGB. With fewer than three components the missing channels are mid-grey.
    """
    mean = reference.mean(axis=0)
    _, _, components = np.linalg.svd(reference - mean, full_matrices=False)
    basis = components[:3].T
    # the sign of a component is arbitrary: fix it so that pictures of two runs compare
    basis = basis * np.where(basis.sum(axis=0) < 0, -1.0, 1.0)
    low, high = np.percentile((reference - mean) @ basis, [2, 98], axis=0)
    scaled = ((features - mean) @ basis - low) / np.maximum(high - low, 1e-12)
    colours = np.full((len(features), 3), 128, dtype=np.uint8)
    colours[:, : basis.shape[1]] = np.rint(255 * np.clip(scaled, 0, 1))
    return colours


def grid_picture(
    grid: np.ndarray, colours: np.ndarray, hidden: np.ndarray | None = None, *, cell_px: int = 14
) -> np.ndarray:
    """Draw one square per tile at its position; overlapping tiles get a square of one stride.

    Tiles off a lattice, such as jittered ones, get a square of their mean distance at the nearest
    place; where two meet, the later one is seen.

    Args:
        grid: ``(N, 2)`` positions in tiles, column then row.
        colours: ``(N, 3)`` uint8 RGB.
        hidden: ``(N,)`` bool; these tiles are drawn in light grey.
        cell_px: side of a square in pixels.

    Returns:
        ``(H, W, 3)`` uint8 RGB.
    """
    stride = _stride(grid)
    cells = np.rint((grid - grid.min(axis=0)) / stride).astype(np.int64)
    columns, rows = cells.max(axis=0) + 1
    small = np.full((rows, columns, 3), _EMPTY, dtype=np.uint8)
    shown = colours.copy()
    if hidden is not None:
        shown[hidden] = _HIDDEN
    small[cells[:, 1], cells[:, 0]] = shown
    return cv2.resize(small, None, fx=cell_px, fy=cell_px, interpolation=cv2.INTER_NEAREST)


def _stride(grid: np.ndarray) -> float:
    """Return the distance of neighbouring columns or rows, in tiles."""
    steps = np.concatenate([np.diff(np.unique(grid[:, axis])) for axis in (0, 1)])
    apart = steps[steps > _SAME_PLACE]
    least = float(apart.min()) if len(apart) else 1.0
    if least >= _LEAST_STRIDE:
        return least
    width, height = np.ptp(grid, axis=0) + 1
    return float(np.sqrt(width * height / len(grid)))


def reconstruction_picture(
    features: np.ndarray, prediction: np.ndarray, token_mask: np.ndarray, grid: np.ndarray
) -> np.ndarray:
    """Draw a slide's embeddings as input, masked input and prediction, side by side.

    The prediction panel shows true embeddings where they were visible and predictions where they
    were hidden. Colours are the principal components of the true embeddings.

    Args:
        features: ``(L, D)`` true embeddings.
        prediction: ``(L, D)`` predicted embeddings.
        token_mask: ``(L,)`` bool, True = masked out.
        grid: ``(L, 2)`` positions in tiles.

    Returns:
        ``(H, W, 3)`` uint8 RGB.
    """
    true = embedding_colours(features, features)
    filled = np.where(token_mask[:, None], embedding_colours(prediction, features), true)
    panels = [
        _titled(grid_picture(grid, true), "input"),
        _titled(grid_picture(grid, true, token_mask), "masked"),
        _titled(grid_picture(grid, filled), "prediction"),
    ]
    gap = np.full((panels[0].shape[0], 12, 3), _EMPTY, dtype=np.uint8)
    return np.concatenate([panels[0], gap, panels[1], gap, panels[2]], axis=1)


def _titled(picture: np.ndarray, title: str) -> np.ndarray:
    width = max(picture.shape[1], 96)
    framed = cv2.copyMakeBorder(
        picture,
        20,
        4,
        0,
        width - picture.shape[1],
        cv2.BORDER_CONSTANT,
        value=(_EMPTY, _EMPTY, _EMPTY),
    )
    return cv2.putText(
        framed, title, (2, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (40, 40, 40), 1, cv2.LINE_AA
    )
