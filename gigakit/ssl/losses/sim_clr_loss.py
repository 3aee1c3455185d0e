"""Contrasting views of an image with those of other images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gigakit.core.errors import ConfigError
from gigakit.registry import LOSSES
from gigakit.ssl.precision import at_least_float32
from gigakit.ssl.ranks import gathered


@LOSSES.register_module()
class SimClrLoss(nn.Module):
    """NT-Xent: each view must find the other view of its image among all views.

    Formula, with ``z`` normalised to length 1, over the 2 B views of a batch::

        -mean_i log [exp(<z_i, z_i'> / temperature) / sum_(j != i) exp(<z_i, z_j> / temperature)]

    Args:
        temperature: 0.5 in SimCLR for small batches, 0.1 for large ones.
        gather: views are compared with those of all processes, which then need batches of the same
            size; the mean of the processes' losses is the loss of all images together.

    Raises:
        ConfigError: a temperature that is not positive.

    Source: SimCLR (Chen et al. 2020), equation 1.
    """

    def __init__(self, *, temperature: float = 0.5, gather: bool = False) -> None:
        super().__init__()
        if not temperature > 0:
            raise ConfigError(f"temperature is {temperature}", where="SimClrLoss", fix="try 0.5")
        self.temperature, self.gather = temperature, gather

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Return the loss.

        Args:
            one: ``(B, D)`` projections of the first views.
            other: ``(B, D)`` of the second views.
        """
        own = functional.normalize(at_least_float32(torch.stack([one, other])), dim=-1)
        every, process = gathered(own) if self.gather else (own[None], 0)
        processes, _, images, _ = every.shape
        # all first views, then all second views
        views = every.transpose(0, 1).flatten(0, 2)
        # autocast would take the products in half precision
        with torch.autocast(own.device.type, enabled=False):
            scores = own.flatten(0, 1) @ views.T / self.temperature
        place = torch.arange(len(views), device=views.device).view(2, processes, images)
        itself = place[:, process].flatten()
        partner = place.flip(0)[:, process].flatten()
        return functional.cross_entropy(scores.scatter(1, itself.unsqueeze(1), -torch.inf), partner)
