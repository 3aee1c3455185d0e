"""Two-dimensional sine-cosine positions on the tile grid, by formula."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gigakit.core.errors import ConfigError
from gigakit.registry import POSITIONS


@POSITIONS.register_module()
class GridSinCos2d(nn.Module):
    """Encode a position in tiles as sines and cosines, y in the first half, x in the second.

    Formula, for width D and ``w_k = temperature^(-k / (D/4))``, ``k = 0 .. D/4 - 1``::

        [sin(y w_k), cos(y w_k), sin(x w_k), cos(x w_k)]

    Args:
        temperature: 10,000 as published.
        quantize: use the whole cells ``floor(x), floor(y)``, as the published table does. With
            ``False`` the fractions of overlapping tiles are kept.
        grid_size: cells per side beyond which a position is an error; 1000 in the published table,
            which maps what is outside to wrong rows. ``None`` sets no limit.

    Source: Prov-GigaPath's published slide encoder, after MAE's ``get_2d_sincos_pos_embed``.
    Differs: computed for the L positions at hand in float64, rounded once to float32, instead of
        looked up in a table of 1000 x 1000 cells (3 GB); nothing limits the grid.
    """

    def __init__(
        self,
        *,
        temperature: float = 10_000.0,
        quantize: bool = False,
        grid_size: int | None = None,
    ) -> None:
        super().__init__()
        self.limit = float("inf") if grid_size is None else float(grid_size)
        self.temperature = temperature
        self.quantize = quantize

    def forward(self, grid: Tensor, width: int) -> Tensor:
        """Encode positions.

        Args:
            grid: ``(B, L, 2)`` positions in tiles, column x then row y.
            width: D, a multiple of 4.

        Returns:
            ``(B, L, D)`` float32 on the grid's device.

        Raises:
            ConfigError: a width that is no multiple of 4, or a position that is negative, not
                finite or beyond the grid.
        """
        if width % 4:
            raise ConfigError(f"width {width} is no multiple of 4", where="GridSinCos2d")
        inside = (grid >= 0) & (grid < self.limit)
        if not inside.all():
            outside = grid[~inside].flatten()[0].item()
            raise ConfigError(
                f"position {outside:g} is outside of the grid [0, {self.limit:g})",
                where="GridSinCos2d",
                fix="give positions in tiles from 0 on; pixels are divided by the tile size",
            )
        # some devices have no float64; the positions are few
        place = grid.device if grid.device.type in ("cpu", "cuda") else torch.device("cpu")
        xy = grid.to(place, torch.float64)
        if self.quantize:
            xy = xy.floor()
        k = torch.arange(width // 4, dtype=torch.float64, device=place)
        frequency = self.temperature ** (-k / (width // 4))
        encoded = torch.empty(*grid.shape[:-1], width, device=place)
        # quarter by quarter, so that 70,122 positions need no gigabyte of float64
        quarters = encoded.view(*grid.shape[:-1], 4, width // 4).unbind(-2)
        for quarter, axis, wave in zip(
            quarters, (1, 1, 0, 0), (torch.sin, torch.cos) * 2, strict=True
        ):
            quarter.copy_(wave(xy[..., axis, None] * frequency))
        return encoded.to(grid.device)


def published_index(coords: Tensor, *, tile_size: int = 256, grid_size: int = 1000) -> Tensor:
    """Return the published row of the position table for coordinates in target-mpp pixels.

    Formula: ``floor(x / tile_size) * grid_size + floor(y / tile_size) + 1``; row 0 is cls.

    Args:
        coords: ``(..., 2)`` x then y, in pixels of the target mpp.
        tile_size: pixels of a cell.
        grid_size: cells per side.

    Raises:
        ConfigError: a coordinate outside the grid, which the published code maps to a wrong row.
    """
    cells = torch.floor(coords / tile_size)
    if coords.numel() and (cells.min() < 0 or cells.max() >= grid_size):
        raise ConfigError(
            f"coordinates reach cell {int(cells.max())} (lowest {int(cells.min())}) of a grid of "
            f"{grid_size}",
            where="published_index",
            fix="give coordinates in pixels of the target mpp",
        )
    index: Tensor = (cells[..., 0] * grid_size + cells[..., 1] + 1).long()
    return index
