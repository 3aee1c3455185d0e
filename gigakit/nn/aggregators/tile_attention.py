"""Parts of attention-based multiple-instance learning: how tiles are embedded and scored."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def tile_network(input_dim: int, widths: Sequence[int], dropout: float) -> nn.Sequential:
    """Return linear layers with ReLU and dropout, from tile embeddings to the last width."""
    layers: list[nn.Module] = []
    for here, there in itertools.pairwise([input_dim, *widths]):
        layers += [nn.Linear(here, there), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers)


class TileScores(nn.Module):
    """Score tiles, before the softmax over a slide.

    Formula: ``w^T tanh(V h)``, gated ``w^T (tanh(V h) * sigm(U h))``, for each output its own w.

    Args:
        input_dim: width of the tiles h.
        hidden: rows of V and U.
        outputs: scores of a tile.
        gated: see the formula.
        dropout: of the hidden units.

    Source: Ilse et al. 2018, equations 8 and 9.
    """

    def __init__(
        self, input_dim: int, hidden: int, *, outputs: int, gated: bool, dropout: float
    ) -> None:
        super().__init__()
        self.value = nn.Linear(input_dim, hidden)
        self.gate = nn.Linear(input_dim, hidden) if gated else None
        self.score = nn.Linear(hidden, outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tiles: Tensor) -> Tensor:
        """Return scores ``(B, outputs, L)`` of tiles ``(B, L, D)``."""
        hidden = self.dropout(self.value(tiles).tanh())
        if self.gate is not None:
            hidden = hidden * self.dropout(torch.sigmoid(self.gate(tiles)))
        scores: Tensor = self.score(hidden).transpose(1, 2)
        return scores
