"""Spreading features apart by their nearest neighbours."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from gigakit.core.errors import ConfigError
from gigakit.registry import LOSSES
from gigakit.ssl.distillation import DistillationStep, Part
from gigakit.ssl.precision import at_least_float32

_EPSILON = 1e-8


@LOSSES.register_module()
class KoLeoLoss(nn.Module):
    """Minus the mean log distance to the nearest neighbours in a batch.

    Formula, with ``x`` normalised to length 1 and ``nn_k`` its k-th nearest by cosine::

        -mean_(i, k <= top_k) log(|x_i - x_nn_k(i) + 1e-8| + 1e-8)

    Computed in float32 whatever comes in: in float16 two equal tiles would give infinity. Within a
    process alone. A batch of one has no neighbour, and no loss.

    Args:
        top_k: neighbours that count; 1 in DINOv2.
        weight: of this loss in the sum; 0.1 in DINOv2.

    Raises:
        ConfigError: no neighbour.

    Source: Sablayrolles et al. 2019; DINOv2, section 4; DINOv3 for ``top_k``.
    Differs: DINOv2 takes the sample itself as the neighbour in a batch of one.
    """

    uses: ClassVar[tuple[Part, ...]] = ()
    least_images = 2

    def __init__(self, *, top_k: int = 1, weight: float = 0.1) -> None:
        super().__init__()
        self.weight = weight
        if top_k < 1:
            raise ConfigError(f"top_k is {top_k}", where="KoLeoLoss", fix="give 1 or more")
        self.top_k = top_k

    def of(self, step: DistillationStep) -> dict[str, Tensor]:
        """Return ``koleo`` of a step: the sum over both global views, each by itself."""
        first, second = step.cls
        return {"koleo": self(first) + self(second)}

    def forward(self, features: Tensor) -> Tensor:
        """Return the loss.

        Args:
            features: ``(B, D)``, class tokens of one view before the head.
        """
        if len(features) < 2:  # noqa: PLR2004
            return features.sum() * 0.0
        # autocast would take the products in half precision
        with torch.autocast(features.device.type, enabled=False):
            x = functional.normalize(at_least_float32(features), eps=_EPSILON, dim=-1)
            with torch.no_grad():
                cosine = x @ x.T
                # -2 lies below any cosine, so that no sample is its own neighbour
                cosine.fill_diagonal_(-2.0)
                nearest = cosine.topk(min(self.top_k, len(x) - 1), dim=1).indices
            gap = functional.pairwise_distance(
                x.repeat_interleave(nearest.shape[1], dim=0), x[nearest.flatten()], eps=_EPSILON
            )
            return -(gap + _EPSILON).log().mean()
