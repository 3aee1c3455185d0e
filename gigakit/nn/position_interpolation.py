"""Learned positions of a square grid of patches, resized to another grid."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Interpolation = Literal["offset", "antialiased"]
# added to the new sides, so that old releases of torch rounded to the right size
_OFFSET = 0.1


def interpolate_positions(
    table: Tensor, height: int, width: int, mode: Interpolation = "antialiased"
) -> Tensor:
    """Resize positions, bicubic in at least float32; the cls token's stays.

    Args:
        table: ``(1, 1 + M², D)``, the cls token's first, then an ``M x M`` grid's in rows.
        height: patches of the new grid.
        width: patches of the new grid.
        mode: ``offset``: scaled by ``(side + 0.1) / M`` without antialiasing, as DINOv2's models
            without registers were trained; ``antialiased``: to the size, as those with registers.

    Returns:
        ``(1, 1 + height · width, D)``; the table itself where it has as many patches and the grid
        is square.

    Source: DINOv2's released code.
    """
    patches = table.shape[1] - 1
    if height * width == patches and height == width:
        return table
    side = math.isqrt(patches)
    grid = table[:, 1:].to(torch.promote_types(table.dtype, torch.float32))
    grid = torch.unflatten(grid, 1, (side, side)).permute(0, 3, 1, 2)
    if mode == "offset":
        scale = ((height + _OFFSET) / side, (width + _OFFSET) / side)
        resized = functional.interpolate(grid, scale_factor=scale, mode="bicubic")
    else:
        resized = functional.interpolate(grid, size=(height, width), mode="bicubic", antialias=True)
    flat = resized.flatten(2).transpose(1, 2).to(table.dtype)
    return torch.cat([table[:, :1], flat], dim=1)
