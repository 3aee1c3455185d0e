"""The largest value of each channel over a slide's tiles."""

from __future__ import annotations

from torch import Tensor, nn

from gigakit.nn.aggregators.aggregated import Aggregated
from gigakit.registry import AGGREGATORS


@AGGREGATORS.register_module()
class MaxPooling(nn.Module):
    """Take the maximum of each channel over a slide's tiles.

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
        """Reduce ``(B, L, D)``; channels come from different tiles, so there is no attention."""
        if padding_mask is not None:
            features = features.masked_fill(padding_mask[..., None], float("-inf"))
        return Aggregated(features.amax(dim=1))
