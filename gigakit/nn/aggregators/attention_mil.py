"""Attention-based multiple-instance learning (ABMIL)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from gigakit.nn.aggregators.aggregated import Aggregated, attend_to
from gigakit.nn.aggregators.tile_attention import TileScores, tile_network
from gigakit.registry import AGGREGATORS


@AGGREGATORS.register_module()
class AttentionMil(nn.Module):
    """Embed each tile, weigh it by a learned score, and sum.

    Formula, with h a tile after the embedding network::

        a_k = softmax over tiles of w^T tanh(V h_k)     gated: w^T (tanh(V h_k) * sigm(U h_k))
        z   = sum_k a_k h_k

    Args:
        input_dim: width of the tile embeddings.
        widths: of the embedding network's layers; none weighs the tile embeddings themselves. The
            paper takes 256, 128, 64 for feature vectors and 500 after its convolutions.
        attention_width: rows of V and U; the paper's 128.
        gated: see the formula.
        dropout: of the embedding network's layers and of the scores' hidden units; the paper's 0.5
            for feature vectors is of the former alone.

    Source: Ilse et al. 2018, equations 7 to 9.
    """

    def __init__(
        self,
        *,
        input_dim: int,
        widths: Sequence[int] = (512,),
        attention_width: int = 128,
        gated: bool = False,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        self.width = widths[-1] if widths else input_dim
        self.tiles = tile_network(input_dim, widths, dropout)
        self.scores = TileScores(
            self.width, attention_width, outputs=1, gated=gated, dropout=dropout
        )

    def forward(
        self,
        features: Tensor,
        *,
        grid: Tensor,  # noqa: ARG002
        padding_mask: Tensor | None = None,
    ) -> Aggregated:
        """Aggregate ``(B, L, D_in)``; see :class:`~.aggregated.Aggregator`."""
        tiles = self.tiles(features)
        attention = attend_to(self.scores(tiles), padding_mask)
        return Aggregated((attention @ tiles)[:, 0], attention[:, 0], instances=tiles)
