"""The linear head of a slide-level model."""

from __future__ import annotations

from torch import Tensor, nn

from gigakit.nn.heads.per_class import apply_linear
from gigakit.registry import HEADS


@HEADS.register_module()
class LinearHead(nn.Module):
    """One linear layer from a slide's embedding to the outputs.

    Args:
        input_dim: width of the embedding.
        output_dim: classes, labels, or 1.
        dropout: of the embedding; the published fine-tuning has none here.
    """

    def __init__(self, *, input_dim: int, output_dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(input_dim, output_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, output_dim)`` of ``(B, D)``, or of ``(B, output_dim, D)``."""
        return apply_linear(self.linear, self.dropout(x))
