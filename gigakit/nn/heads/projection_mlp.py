"""The projection head of contrastive learning."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from gigakit.core.errors import ConfigError
from gigakit.registry import HEADS


@HEADS.register_module()
class ProjectionMlp(nn.Module):
    """An MLP with ReLU from features to the space in which views are compared.

    Args:
        input_dim: width of the encoder.
        output_dim: width of the projection; 128 in SimCLR.
        hidden: width of the hidden layers; 2048 in SimCLR.
        layers: linear layers; 2 in SimCLR, 3 in its second version.
        batch_norm: normalise after each linear layer by the batch of each process, as the released
            code does; results then depend on the batch and on the number of processes.

    Raises:
        ConfigError: no layer.

    Source: SimCLR (Chen et al. 2020), section 4.2.
    """

    def __init__(
        self,
        *,
        input_dim: int,
        output_dim: int = 128,
        hidden: int = 2048,
        layers: int = 2,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ConfigError(f"layers is {layers}", where="ProjectionMlp", fix="give 1 or more")
        widths = [input_dim, *[hidden] * (layers - 1), output_dim]
        parts: list[nn.Module] = []
        for here, there in itertools.pairwise(widths):
            # batch norm has a shift of its own
            parts.append(nn.Linear(here, there, bias=not batch_norm))
            if batch_norm:
                parts.append(nn.BatchNorm1d(there))
            parts.append(nn.ReLU())
        self.mlp = nn.Sequential(*parts[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Return projections ``(n, output_dim)`` of features ``(n, D)``."""
        projected: Tensor = self.mlp(x)
        return projected
