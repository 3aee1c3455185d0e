"""Pictures of what a tile encoder's patch tokens tell apart.

Shapes: T tiles, P patches, D width.
"""

from __future__ import annotations

import cv2
import numpy as np

from gigakit.core.errors import ConfigError

_BACKGROUND = 235
_GAP = 4


def patch_colours(patches: np.ndarray, darkness: np.ndarray) -> np.ndarray:
    """Map patch tokens of several tiles together to colours.

    The first principal component parts foreground from background, at Otsu's threshold between its
    least and largest value; it points to the darker patches, as a component has no sign of its own.
    The next three are red, green and blue, each from its least to its largest value in the
    foreground; the sign is such that the longer tail is bright.

    Args:
        patches: ``(T, P, D)`` after the final norm.
        darkness: ``(T, P)``, larger where there is more stain.

    Returns:
        ``(T, P, 3)`` uint8 RGB, the background light grey.

    Source: DINOv2 (Oquab et al. 2024), section 7.4 and figure 1.
    Differs: one decomposition for both steps; no hand picks the sign.
    """
    tokens = patches.reshape(-1, patches.shape[-1]).astype(np.float64)
    tokens = tokens - tokens.mean(axis=0)
    # the largest eigenvectors come last
    _, vectors = np.linalg.eigh(tokens.T @ tokens)
    values = tokens @ vectors[:, : -min(5, vectors.shape[1] + 1) : -1]
    stain = darkness.reshape(-1)
    first = values[:, 0] * (1.0 if values[:, 0] @ (stain - stain.mean()) >= 0 else -1.0)
    foreground = _above_otsu(first)
    colours = np.full((len(tokens), 3), _BACKGROUND, dtype=np.uint8)
    shown = values[foreground, 1:]
    shown = shown * np.where(((shown - shown.mean(axis=0)) ** 3).sum(axis=0) < 0, -1.0, 1.0)
    low, high = shown.min(axis=0), shown.max(axis=0)
    scaled = np.rint(255 * (shown - low) / np.maximum(high - low, 1e-12)).astype(np.uint8)
    # narrow encoders have fewer components
    colours[foreground, : scaled.shape[1]] = scaled
    return colours.reshape(*patches.shape[:2], 3)


def patch_picture(tiles: np.ndarray, patches: np.ndarray, *, side_px: int = 160) -> np.ndarray:
    """Draw tiles and, below each, the colours of its patch tokens.

    Args:
        tiles: ``(T, S, S, 3)`` uint8 RGB, as the encoder saw them.
        patches: ``(T, P, D)``, row by row of a square.
        side_px: of each square of the picture.

    Returns:
        ``(H, W, 3)`` uint8 RGB.

    Raises:
        ConfigError: the patches do not form a square.
    """
    side = round(patches.shape[1] ** 0.5)
    if side**2 != patches.shape[1]:
        raise ConfigError(
            f"{patches.shape[1]} patches form no square", where="patch tokens", fix="leave cls out"
        )
    darkness = np.stack(
        [255.0 - cv2.resize(tile, (side, side), interpolation=cv2.INTER_AREA) for tile in tiles]
    ).mean(axis=-1)
    colours = patch_colours(patches, darkness.reshape(len(tiles), -1))
    columns = [
        stacked(
            [
                cv2.resize(tile, (side_px, side_px), interpolation=cv2.INTER_AREA),
                cv2.resize(
                    one.reshape(side, side, 3),
                    (side_px, side_px),
                    interpolation=cv2.INTER_NEAREST,
                ),
            ],
            axis=0,
        )
        for tile, one in zip(tiles, colours, strict=True)
    ]
    return stacked(columns, axis=1)


def stacked(pictures: list[np.ndarray], *, axis: int) -> np.ndarray:
    """Put pictures below (0) or beside (1) each other on white, with a gap."""
    across = max(picture.shape[1 - axis] for picture in pictures)
    framed = []
    for picture in pictures:
        missing = across - picture.shape[1 - axis]
        bottom, right = (_GAP, missing) if axis == 0 else (missing, _GAP)
        framed.append(
            cv2.copyMakeBorder(
                picture, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=(255, 255, 255)
            )
        )
    return np.concatenate(framed, axis=axis)


def _above_otsu(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    grey = np.rint(255 * (values - low) / max(high - low, 1e-12)).astype(np.uint8)
    threshold, _ = cv2.threshold(grey.reshape(-1, 1), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    above: np.ndarray = grey > threshold
    # equal values have no background
    return above if above.any() else np.ones_like(above)
