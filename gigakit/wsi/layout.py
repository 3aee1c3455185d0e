"""What every tiler does once it has laid out its tiles: measure, select, record."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.wsi.occupancy import tissue_fraction
from gigakit.wsi.resolution import LevelChoice, choose_level
from gigakit.wsi.slide import Slide
from gigakit.wsi.tiles import TileTable


@dataclass(frozen=True)
class Layout:
    """Size, resolution and selection of tiles.

    Args:
        tile_size_px: side of a tile at the target resolution.
        target_mpp: µm/px.
        min_occupancy: fraction of a tile that must be tissue, ``>=``.
        tolerance: a level within this fraction of the target is read as it is.

    Raises:
        ConfigError: a value out of range.
    """

    tile_size_px: int
    target_mpp: float
    min_occupancy: float
    tolerance: float

    def __post_init__(self) -> None:
        require("tile_size_px", self.tile_size_px, sensible=self.tile_size_px >= 1)
        require("target_mpp", self.target_mpp, sensible=self.target_mpp > 0)
        require("min_occupancy", self.min_occupancy, sensible=0 <= self.min_occupancy <= 1)
        require("tolerance", self.tolerance, sensible=0 <= self.tolerance < 1)

    def footprint(self, slide: Slide) -> tuple[float, float]:
        """Return the side of a tile in level-0 px, (x, y), exact.

        Raises:
            MissingMppError: the slide does not tell its resolution.
            SlideError: the slide is coarser than the target.
        """
        choice = self._choice(slide)
        downsample = slide.level_downsamples[choice.level]
        across, down = (self.tile_size_px * scale * downsample for scale in choice.scale)
        return across, down

    def select(
        self,
        slide: Slide,
        mask: np.ndarray,
        slide_id: str,
        grid: np.ndarray,
        **attrs: Any,
    ) -> TileTable:
        """Keep the tiles that hold enough tissue.

        Args:
            slide: the slide.
            mask: ``(H, W)`` bool, True = tissue, which covers the slide exactly.
            slide_id: its name.
            grid: ``(N, 2)`` float64, corners in tiles, (column, row).
            attrs: further facts to record.
        """
        choice, footprint = self._choice(slide), self.footprint(slide)
        width, height = slide.level_dimensions[0]
        corners = grid * np.array(footprint)
        occupancy = tissue_fraction(mask, corners, footprint, (width, height))
        kept = occupancy >= self.min_occupancy
        near = ~kept & (occupancy > 0)
        return TileTable(
            slide_id=slide_id,
            coords=np.rint(corners[kept]).astype(np.int64),
            grid=grid[kept],
            occupancy=occupancy[kept].astype(np.float32),
            tile_size_px=self.tile_size_px,
            target_mpp=self.target_mpp,
            footprint=footprint,
            attrs={
                "slide_size": (width, height),
                "effective_mpp": choice.effective_mpp,
                "level": choice.level,
                "resampling": choice.resampling,
                "mpp_source": slide.mpp_source,
                "tolerance": self.tolerance,
                "min_occupancy": self.min_occupancy,
                "cells": len(grid),
                **({"bounds": slide.bounds} if slide.bounds else {}),
                "little_tissue": int(near.sum()),
                **attrs,
            },
            rejected=grid[near],
        )

    def extent(self, slide: Slide) -> tuple[float, float]:
        """Return the slide's size in tiles, (x, y)."""
        width, height = slide.level_dimensions[0]
        across, down = self.footprint(slide)
        return width / across, height / down

    def _choice(self, slide: Slide) -> LevelChoice:
        return choose_level(slide, self.target_mpp, tolerance=self.tolerance)


def grid_positions(extent: tuple[float, float], stride: float) -> np.ndarray:
    """Return the corners in tiles ``(N, 2)`` of all whole tiles of a grid, row by row.

    Args:
        extent: the slide's size in tiles.
        stride: from tile to tile, in tiles.
    """
    columns, rows = (
        # the tolerance of 1e-9 tiles keeps rounding noise from losing the last tile
        max(0, int((size - 1.0) / stride + 1e-9) + 1) if size >= 1 else 0
        for size in extent
    )
    row, column = np.divmod(np.arange(rows * columns), max(columns, 1))
    positions: np.ndarray = np.stack([column, row], axis=1) * stride
    return positions


def slide_generator(seed: int, slide_id: str) -> np.random.Generator:
    """Return the random numbers of a slide, whatever the cohort it is in."""
    return np.random.default_rng([seed, zlib.crc32(slide_id.encode())])


def require(name: str, value: object, *, sensible: bool) -> None:
    """Refuse a tiler's argument that is out of range.

    Raises:
        ConfigError: it is not sensible.
    """
    if not sensible:
        raise ConfigError(f"{name} is {value}", where="tiler", fix="see its docstring")
