"""Transformer-based multiple-instance learning (TransMIL).

Shapes: B slides, L tiles, S² = tiles of a slide filled up to a square, D width.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from gigakit.core.errors import ConfigError
from gigakit.nn.aggregators.aggregated import Aggregated, tile_counts
from gigakit.registry import AGGREGATORS, ATTENTIONS


class _ValueAttention(nn.Module):
    """Attention of normalised tokens, plus each head's values convolved along the sequence."""

    def __init__(
        self, width: int, heads: int, attention: nn.Module, kernel: int, dropout: float
    ) -> None:
        super().__init__()
        self.heads, self.attention = heads, attention
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.convolve = nn.Conv2d(
            heads, heads, (kernel, 1), padding=(kernel // 2, 0), groups=heads, bias=False
        )
        self.project = nn.Sequential(nn.Linear(width, width), nn.Dropout(dropout))

    def forward(self, x: Tensor) -> Tensor:
        """Add to tokens ``(1, T, D)`` what they attend to."""
        heads_of = (*x.shape[:2], 3, self.heads, x.shape[2] // self.heads)
        q, k, v = self.qkv(self.norm(x)).view(heads_of).unbind(dim=2)
        near = self.convolve(v.transpose(1, 2)).transpose(1, 2)
        added: Tensor = self.project((self.attention(q, k, v) + near).flatten(2))
        return x + added


class _Pyramid(nn.Module):
    """The pyramid position encoding: the square of tiles, convolved at three scales."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            nn.Conv2d(width, width, size, padding=size // 2, groups=width) for size in (7, 5, 3)
        )

    def forward(self, x: Tensor, side: int) -> Tensor:
        """Convolve tokens ``(1, 1 + S², D)``; the first, the slide's, stays as it is."""
        square = x[:, 1:].transpose(1, 2).reshape(1, -1, side, side)
        mixed = square
        for convolve in self.scales:
            mixed = mixed + convolve(square)
        return torch.cat([x[:, :1], mixed.flatten(2).transpose(1, 2)], dim=1)


@AGGREGATORS.register_module()
class TransMil(nn.Module):
    """Two transformer layers over a slide's tiles, with convolutions over their square between.

    The sequence is filled up to the next square with its own first tiles and laid out row by row,
    whatever the tiles' positions, so its order counts. Slides of a batch run one after another.

    Args:
        input_dim: width of the tile embeddings.
        width: D; 512 in the paper.
        heads: 8 in the paper.
        attention: config from ATTENTIONS; default full attention.
        value_kernel: tokens over which values are convolved; odd, 33 in the released code.
        dropout: after each attention; 0.1 in the released code.

    Raises:
        ConfigError: heads that do not divide the width, or an even value_kernel.

    Source: Shao et al. 2021, algorithm 2; its released code.
    Differs: attention is exact, where the paper approximates it (Nystrom, D / 2 landmarks). Its
        cost is quadratic in tiles, its memory linear with the backends flash and sdpa; above some
        ten thousand tiles take LocalAttention or LinearAttention, or ``max_tiles`` of the data.
    """

    def __init__(
        self,
        *,
        input_dim: int,
        width: int = 512,
        heads: int = 8,
        attention: dict[str, Any] | None = None,
        value_kernel: int = 33,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError(f"{heads} heads for width {width}", where="TransMil.heads")
        if value_kernel % 2 == 0:
            raise ConfigError(
                f"got {value_kernel}", where="TransMil.value_kernel", fix="give an odd number"
            )
        self.width = width
        self.attention: nn.Module = ATTENTIONS.build(attention or {"type": "FullAttention"})
        self.tiles = nn.Sequential(nn.Linear(input_dim, width), nn.ReLU())
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.first, self.second = (
            _ValueAttention(width, heads, self.attention, value_kernel, dropout) for _ in range(2)
        )
        self.pyramid = _Pyramid(width)
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        features: Tensor,
        *,
        grid: Tensor,  # noqa: ARG002
        padding_mask: Tensor | None = None,
    ) -> Aggregated:
        """Aggregate ``(B, L, D_in)``; see :class:`~.aggregated.Aggregator`."""
        counts = tile_counts(features, padding_mask)
        slides = [self._slide(features[row : row + 1, :count]) for row, count in enumerate(counts)]
        return Aggregated(torch.cat(slides))

    def _slide(self, features: Tensor) -> Tensor:
        """Return the embedding ``(1, D)`` of one slide."""
        x = self.tiles(features)
        length = x.shape[1]
        side = math.isqrt(length - 1) + 1
        x = torch.cat([self.token.to(x.dtype), x, x[:, : side * side - length]], dim=1)
        x = self.second(self.pyramid(self.first(x), side))
        embedding: Tensor = self.norm(x[:, 0])
        return embedding
