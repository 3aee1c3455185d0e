"""The mean of a slide's tile embeddings."""

from __future__ import annotations

from torch import Tensor, nn

from gigakit.nn.aggregators.aggregated import Aggregated
from gigakit.registry import AGGREGATORS


@AGGREGATORS.register_module()
class MeanPooling(nn.Module):
    """Average a slide's tile embeddings: the baseline that every aggregator has to beat.

    Args:
        input_dim: width of the tile embeddings, and of the slide's.
    """

    def __init__(self, *, input_dim: int) -> None:
        super().__init__()
        self.width = input_dim

    def forward(
        self,
        features: Tensor,
        *,
        grid: Tensor,  # noqa: ARG002
        padding_mask: Tensor | None = None,
    ) -> Aggregated:
        """Average ``(B, L, D)`` over tiles; see :class:`~.aggregated.Aggregator`."""
        if padding_mask is None:
            padding_mask = features.new_zeros(features.shape[:2]).bool()
        kept = (~padding_mask).to(features.dtype)
        weights = kept / kept.sum(dim=1, keepdim=True).clamp(min=1)
        return Aggregated((features * weights[..., None]).sum(dim=1), weights, instances=features)
