"""Spreading features apart by a kernel density."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from gigakit.registry import LOSSES
from gigakit.ssl.distillation import DistillationStep, Part
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
        weight: of this loss in the sum; 0.05 in Virchow2.

    Source: Virchow2 (Zimmermann et al. 2024), in place of KoLeo; its weight there is 0.05.
    Differs: OpenMidnight's released term has the opposite sign; descending that pulls features
        together.
    """

    uses: ClassVar[tuple[Part, ...]] = ()
    least_images = 2

    def __init__(
        self, *, kappa: float = 5.0, include_self: bool = False, weight: float = 0.05
    ) -> None:
        super().__init__()
        self.weight = weight
        self.kappa, self.include_self = kappa, include_self

    def of(self, step: DistillationStep) -> dict[str, Tensor]:
        """Return ``kde`` of a step: the sum over both global views, each by itself."""
        first, second = step.cls
        return {"kde": self(first) + self(second)}

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
