"""Tiles on a regular grid."""

from __future__ import annotations

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.registry import TILERS
from gigakit.wsi.resolution import choose_level
from gigakit.wsi.slide import Slide
from gigakit.wsi.tiles import TileTable


@TILERS.register_module()
class GridTiler:
    """Lay tiles row by row from the slide's top-left corner; keep those with enough tissue.

    Only tiles that lie wholly inside the slide count. Occupancy is the fraction of the tile's
    footprint that the tissue mask covers, exact at fractional borders, and a tile is kept when it
    is ``>= min_occupancy``.

    Args:
        tile_size_px: side of a tile at the target resolution; 256 in the paper.
        target_mpp: µm/px; 0.5 in the paper.
        min_occupancy: 0.1 in the paper.
        overlap: fraction of a tile that it shares with its neighbour, in [0, 1).
        tolerance: a level within this fraction of the target is read as it is.

    Raises:
        ConfigError: a value out of range.

    Source: Prov-GigaPath, Methods, preprocessing.
    Differs: the released tiler starts at the tissue's box and pads the slide; it keeps ``> 0.1``.
    """

    def __init__(
        self,
        *,
        tile_size_px: int = 256,
        target_mpp: float = 0.5,
        min_occupancy: float = 0.1,
        overlap: float = 0.0,
        tolerance: float = 0.02,
    ) -> None:
        for name, value, sensible in (
            ("tile_size_px", tile_size_px, tile_size_px >= 1),
            ("target_mpp", target_mpp, target_mpp > 0),
            ("min_occupancy", min_occupancy, 0 <= min_occupancy <= 1),
            ("overlap", overlap, 0 <= overlap < 1),
            ("tolerance", tolerance, 0 <= tolerance < 1),
        ):
            if not sensible:
                raise ConfigError(f"{name} is {value}", where="GridTiler", fix="see its docstring")
        self.tile_size_px = tile_size_px
        self.target_mpp = target_mpp
        self.min_occupancy = min_occupancy
        self.overlap = overlap
        self.tolerance = tolerance

    @property
    def name(self) -> str:
        """A readable name for folders, such as ``grid256-0.5mpp``."""
        overlap = f"-overlap{self.overlap:g}" if self.overlap else ""
        return f"grid{self.tile_size_px}-{self.target_mpp:g}mpp{overlap}"

    def tile(self, slide: Slide, mask: np.ndarray, slide_id: str) -> TileTable:
        """Lay out and select tiles.

        Args:
            slide: the slide.
            mask: ``(H, W)`` bool, True = tissue, which covers the slide exactly.
            slide_id: its name.

        Raises:
            MissingMppError: the slide does not tell its resolution.
            SlideError: the slide is coarser than the target.
        """
        choice = choose_level(slide, self.target_mpp, tolerance=self.tolerance)
        downsample = slide.level_downsamples[choice.level]
        footprint = tuple(self.tile_size_px * scale * downsample for scale in choice.scale)
        width, height = slide.level_dimensions[0]
        stride = 1.0 - self.overlap
        columns, rows = (
            # the tolerance of 1e-9 tiles keeps rounding noise from losing the last tile
            max(0, int((size / side - 1.0) / stride + 1e-9) + 1) if size >= side else 0
            for size, side in zip((width, height), footprint, strict=True)
        )
        row, column = np.divmod(np.arange(rows * columns), max(columns, 1))
        grid = np.stack([column, row], axis=1) * stride
        corners = grid * np.array(footprint)
        occupancy = tissue_fraction(mask, corners, footprint, (width, height))
        kept = occupancy >= self.min_occupancy
        return TileTable(
            slide_id=slide_id,
            coords=np.rint(corners[kept]).astype(np.int64),
            grid=grid[kept],
            occupancy=occupancy[kept].astype(np.float32),
            tile_size_px=self.tile_size_px,
            target_mpp=self.target_mpp,
            footprint=(footprint[0], footprint[1]),
            attrs={
                "slide_size": (width, height),
                "effective_mpp": choice.effective_mpp,
                "level": choice.level,
                "resampling": choice.resampling,
                "mpp_source": slide.mpp_source,
                "overlap": self.overlap,
                "tolerance": self.tolerance,
                "min_occupancy": self.min_occupancy,
                "cells": rows * columns,
            },
        )


def tissue_fraction(
    mask: np.ndarray,
    corners: np.ndarray,
    footprint: tuple[float, ...],
    slide_size: tuple[int, int],
) -> np.ndarray:
    """Return the fraction of each rectangle that a mask covers, by integral image.

    Args:
        mask: ``(H, W)`` bool, which covers the slide exactly.
        corners: ``(N, 2)`` top-left corners in level-0 px, (x, y).
        footprint: width and height of a rectangle in level-0 px.
        slide_size: width and height of the slide in level-0 px.

    Returns:
        ``(N,)`` float64, exact for rectangles inside the slide.
    """
    height, width = mask.shape
    integral = np.zeros((height + 1, width + 1))
    integral[1:, 1:] = mask.cumsum(axis=0).cumsum(axis=1)
    scale = np.array([width / slide_size[0], height / slide_size[1]])
    low, high = corners * scale, (corners + np.array(footprint)) * scale
    area = (
        _at(integral, high[:, 0], high[:, 1])
        - _at(integral, low[:, 0], high[:, 1])
        - _at(integral, high[:, 0], low[:, 1])
        + _at(integral, low[:, 0], low[:, 1])
    )
    fraction: np.ndarray = area / np.prod(np.array(footprint) * scale)
    # rounding noise of the sums must not decide at a threshold
    return np.round(fraction, 9).clip(0.0, 1.0)


def _at(integral: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Interpolate the integral image bilinearly: exact, since the mask is constant per pixel."""
    height, width = integral.shape
    x, y = x.clip(0, width - 1), y.clip(0, height - 1)
    left, top = (np.minimum(p.astype(np.int64), n - 2) for p, n in ((x, width), (y, height)))
    u, v = x - left, y - top
    upper = integral[top, left] * (1 - u) + integral[top, left + 1] * u
    lower = integral[top + 1, left] * (1 - u) + integral[top + 1, left + 1] * u
    between: np.ndarray = upper * (1 - v) + lower * v
    return between
