"""Contrasting views of an image with those of other images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gigakit.core.errors import ConfigError
from gigakit.registry import LOSSES
from gigakit.ssl.precision import at_least_float32


@LOSSES.register_module()
class SimClrLoss(nn.Module):
    """NT-Xent: each view must find the other view of its image among all views.

    Formula, with ``z`` normalised to length 1, over the 2 B views of a batch::

        -mean_i log [exp(<z_i, z_i'> / temperature) / sum_(j != i) exp(<z_i, z_j> / temperature)]

    Within a process alone.

    Args:
        temperature: 0.5 in SimCLR for small batches, 0.1 for large ones.

    Raises:
        ConfigError: a temperature that is not positive.

    Source: SimCLR (Chen et al. 2020), equation 1.
    """

    def __init__(self, *, temperature: float = 0.5) -> None:
        super().__init__()
        if not temperature > 0:
            raise ConfigError(f"temperature is {temperature}", where="SimClrLoss", fix="try 0.5")
        self.temperature = temperature

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Return the loss.

        Args:
            one: ``(B, D)`` projections of the first views.
            other: ``(B, D)`` of the second views.
        """
        views = functional.normalize(at_least_float32(torch.cat([one, other])), dim=-1)
        scores = views @ views.T / self.temperature
        itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
        partner = torch.arange(len(views), device=views.device).roll(len(one))
        return functional.cross_entropy(scores.masked_fill(itself, -torch.inf), partner)
