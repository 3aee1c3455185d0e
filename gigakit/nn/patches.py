"""Images as patches, and patches that are taken away.

Shapes: n images, P patches of p x p px, V visible ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gigakit.nn.positions.grid_sincos import GridSinCos2d


def patchify(images: Tensor, patch_size: int) -> Tensor:
    """Return ``(n, P, p * p * C)`` of images ``(n, C, H, W)``.

    Patches follow row by row; within a patch the order is row, column, channel.

    Source: MAE (He et al. 2022), released code.
    """
    cut = images.unfold(2, patch_size, patch_size).unfold(3, patch_size, patch_size)
    return cut.permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2)


def keep_least(noise: Tensor, ratio: float) -> tuple[Tensor, Tensor, Tensor]:
    """Take away all patches but those of least noise.

    Args:
        noise: ``(n, P)``.
        ratio: part to take away, in [0, 1); ``max(1, floor(P (1 - ratio)))`` patches stay.

    Returns:
        ``kept`` ``(n, V)``, the places of what stays, by rising noise; ``mask`` ``(n, P)`` bool,
        True = taken away; ``restore`` ``(n, P)``, each patch's place in the order of rising noise.

    Source: MAE (He et al. 2022), released code.
    Differs: at least one patch stays.
    """
    patches = noise.shape[1]
    # the tolerance keeps 1 - 0.9 = 0.0999... from losing a patch that exact arithmetic keeps
    visible = max(1, int(patches * (1.0 - ratio) + 1e-9))
    order = noise.argsort(dim=1, stable=True)
    restore = order.argsort(dim=1)
    return order[:, :visible], restore >= visible, restore


def patch_positions(width: int, rows: int, columns: int) -> Tensor:
    """Return fixed positions ``(1 + rows * columns, width)`` float32 of patches, zeros for cls.

    The sines and cosines of the column are in the first half, those of the row in the second.

    Raises:
        ConfigError: a width that is no multiple of 4.

    Source: MAE (He et al. 2022), released tables; the other way round than
        :class:`~gigakit.nn.positions.grid_sincos.GridSinCos2d`.
    """
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    # that encoding puts the second coordinate first
    encoded: Tensor = GridSinCos2d()(torch.stack([row, column], dim=-1).flatten(0, 1)[None], width)
    return torch.cat([torch.zeros(1, width), encoded[0]])
