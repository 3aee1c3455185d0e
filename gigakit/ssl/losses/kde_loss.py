"""Spreading features apart by a kernel density."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from gigakit.registry import LOSSES
from gigakit.ssl.precision import at_least_float32


@LOSSES.register_module()
class KdeLoss(nn.Module):
    """Mean log density of features under a von Mises-Fisher kernel: descending it spreads them.

    Formula, with ``x`` normalised to length 1::

        +mean_i log sum_j exp(kappa <x_i, x_j>)                    include_self
        +mean_i log mean_(j != i) exp(kappa <x_i, x_j>)            otherwise

    Smooth everywhere; equal tiles do not blow it up. A batch of one has no loss.

    Args:
        kappa: concentration of the kernel; 5 in Virchow2.
        include_self: a sample counts in its own density.

    Source: Virchow2 (Zimmermann et al. 2024), in place of KoLeo; its weight there is 0.05.
    Differs: OpenMidnight's released term has the opposite sign; descending that pulls features
        together.
    """

    def __init__(self, *, kappa: float = 5.0, include_self: bool = False) -> None:
        super().__init__()
        self.kappa, self.include_self = kappa, include_self

    def forward(self, features: Tensor) -> Tensor:
        """Return the loss.

        Args:
            features: ``(B, D)``, class tokens of one view before the head.
        """
        if len(features) < 2:  # noqa: PLR2004
            return features.sum() * 0.0
        with torch.autocast(features.device.type, enabled=False):
            x = functional.normalize(at_least_float32(features), dim=-1)
            scores = self.kappa * (x @ x.T)
            if self.include_self:
                return scores.logsumexp(dim=1).mean()
            itself = torch.eye(len(x), dtype=torch.bool, device=x.device)
            others = scores.masked_fill(itself, -torch.inf)
            return others.logsumexp(dim=1).mean() - math.log(len(x) - 1)
