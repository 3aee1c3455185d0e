"""A head with hidden layers for slide-level models."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from gigakit.nn.heads.per_class import apply_linear
from gigakit.registry import HEADS


@HEADS.register_module()
class MlpHead(nn.Module):
    """Hidden layers with GELU and dropout, then a linear layer to the outputs.

    Args:
        input_dim: width of the slide's embedding.
        output_dim: classes, labels, or 1.
        widths: of the hidden layers.
        dropout: after each of them.
    """

    def __init__(
        self,
        *,
        input_dim: int,
        output_dim: int,
        widths: Sequence[int] = (256,),
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for here, there in itertools.pairwise([input_dim, *widths]):
            layers += [nn.Linear(here, there), nn.GELU(), nn.Dropout(dropout)]
        self.hidden = nn.Sequential(*layers)
        self.linear = nn.Linear(widths[-1] if widths else input_dim, output_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, output_dim)`` of ``(B, D)``, or of ``(B, output_dim, D)``."""
        return apply_linear(self.linear, self.hidden(x))
