"""Colour and texture of a tile, counted: the bar that a trained encoder has to pass."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

BINS = 16
# radius in px and number of points on the circle
SCALES = ((1, 8), (2, 16), (3, 24))
# rows: how haematoxylin, eosin and DAB absorb red, green and blue
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
_LEAST = 1e-6
# stain amounts in units of the darkest possible, of which tissue uses the lower part
_HED_RANGE = (-0.05, 0.35)


class ColourTexture:
    """Histograms of colours and stains, and of uniform local binary patterns at three scales.

    Per tile: 16 bins of each of red, green, blue, haematoxylin, eosin and DAB, and the shares of
    the rotation-invariant uniform patterns of the grey picture at radius 1, 2 and 3 with 8, 16 and
    24 points (10 + 18 + 26): 150 numbers, whatever the tile's size.

    Source: Ruifrok and Johnston 2001 (stains); Ojala et al. 2002, equation 10 (patterns).
    """

    name = "colour-texture"

    def embed(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        """Return ``(B, 150)`` float32 of tiles ``(H, W, 3)`` uint8 RGB."""
        return np.stack([_describe(tile) for tile in pixels])


def _describe(tile: np.ndarray) -> np.ndarray:
    grey = cv2.cvtColor(tile, cv2.COLOR_RGB2GRAY)
    parts = [_shares(tile[..., channel], (0, 256)) for channel in range(3)]
    stains = _hed(tile)
    parts += [_shares(stains[..., channel], _HED_RANGE) for channel in range(3)]
    parts += [uniform_patterns(grey, radius, points) for radius, points in SCALES]
    return np.concatenate(parts).astype(np.float32)


def _shares(values: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    counted, _ = np.histogram(np.clip(values, *bounds), bins=BINS, range=bounds)
    return counted / values.size


def _hed(tile: np.ndarray) -> np.ndarray:
    """Return the amounts of the three stains: optical density by the inverse of their colours."""
    # of all 256 values, since a logarithm of each pixel takes most of the time
    density = np.log(np.maximum(np.arange(256) / 255, _LEAST)) / np.log(_LEAST)
    stains: np.ndarray = density[tile] @ np.linalg.inv(_STAINS)
    return stains


def uniform_patterns(grey: np.ndarray, radius: int, points: int) -> np.ndarray:
    """Return the shares ``(points + 2,)`` of the rotation-invariant uniform patterns.

    A pixel's pattern says which of the points on the circle around it are at least as bright, read
    by bilinear interpolation. With at most two changes around the circle it counts by how many are,
    else in the last bin. Pixels nearer to the border than the radius are left out.

    Args:
        grey: ``(H, W)`` uint8.
        radius: of the circle in px.
        points: on it.
    """
    image = grey.astype(np.float32)
    height, width = image.shape
    inner = image[radius : height - radius, radius : width - radius]
    count = np.zeros(inner.shape, dtype=np.uint8)
    changes = np.zeros(inner.shape, dtype=np.uint8)
    angles = 2 * np.pi * np.arange(points) / points
    around = [
        _shifted(image, radius, -radius * np.sin(angle), radius * np.cos(angle)) >= inner
        for angle in angles
    ]
    for bit, before in zip(around, [around[-1], *around[:-1]], strict=True):
        count += bit
        changes += bit != before
    pattern = np.where(changes <= 2, count, points + 1)  # noqa: PLR2004
    return np.bincount(pattern.ravel(), minlength=points + 2) / max(pattern.size, 1)


def _shifted(image: np.ndarray, margin: int, down: float, right: float) -> np.ndarray:
    """Return the picture's inner part, read at a shift of each pixel, bilinearly."""
    down, right = round(down, 5), round(right, 5)
    top, left = int(np.floor(down)), int(np.floor(right))
    part_down, part_right = down - top, right - left
    height, width = (side - 2 * margin for side in image.shape)
    found = np.zeros((height, width), dtype=np.float32)
    for row, share_row in ((0, 1 - part_down), (1, part_down)):
        for column, share_column in ((0, 1 - part_right), (1, part_right)):
            if share := share_row * share_column:
                y, x = margin + top + row, margin + left + column
                found += np.float32(share) * image[y : y + height, x : x + width]
    return found
