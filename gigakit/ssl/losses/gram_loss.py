"""Keeping the similarities of patches as an earlier teacher had them."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gigakit.core.errors import ConfigError
from gigakit.registry import LOSSES
from gigakit.ssl.distillation import DistillationStep, Part
from gigakit.ssl.precision import at_least_float32

Scope = Literal["image", "batch"]
Negatives = Literal["kept", "removed"]


@LOSSES.register_module()
class GramLoss(nn.Module):
    """Compare the cosines between patch tokens with those of another network.

    Formula, with tokens ``x`` of the student and ``y`` of the other, normalised to length 1, over
    all pairs (i, j) of patches of an image, or of a batch::

        mean_ij (<x_i, x_j> - <y_i, y_j>)^2

    It leaves the features themselves free. Scope ``batch`` takes ``(n P)^2`` numbers.

    Args:
        scope: pairs within each ``image``, or within the ``batch``.
        negatives: ``removed`` sets negative cosines of both networks to 0.
        weight: of this loss in the sum.

    Raises:
        ConfigError: an unknown scope, or unknown negatives.

    Source: DINOv3 (Siméoni et al. 2025), Gram anchoring.
    Differs: in a step of self-distillation the other network is the teacher as it is; DINOv3 has an
        earlier one.
    """

    uses: ClassVar[tuple[Part, ...]] = ("tokens",)

    def __init__(
        self, *, scope: Scope = "image", negatives: Negatives = "kept", weight: float = 1.0
    ) -> None:
        super().__init__()
        if scope not in ("image", "batch"):
            raise ConfigError(
                f"unknown scope '{scope}'", where="GramLoss", fix="choose image or batch"
            )
        if negatives not in ("kept", "removed"):
            raise ConfigError(
                f"unknown negatives '{negatives}'", where="GramLoss", fix="choose kept or removed"
            )
        self.scope, self.negatives, self.weight = scope, negatives, weight

    def of(self, step: DistillationStep) -> dict[str, Tensor]:
        """Return ``gram`` of a step, over the patches of global crops."""
        if step.patches is None or step.teacher_patches is None:
            raise ValueError("a step without patch tokens")
        return {"gram": self(step.patches, step.teacher_patches)}

    def forward(self, student: Tensor, targets: Tensor) -> Tensor:
        """Return the loss; no gradient goes to the targets.

        Args:
            student: ``(n, P, D)`` patch tokens.
            targets: ``(n, P, D')`` patch tokens of the other network.
        """
        return functional.mse_loss(self._cosines(student), self._cosines(targets.detach()))

    def _cosines(self, tokens: Tensor) -> Tensor:
        # autocast would take the products in half precision
        with torch.autocast(tokens.device.type, enabled=False):
            x = functional.normalize(at_least_float32(tokens), dim=-1)
            if self.scope == "batch":
                x = x.flatten(0, 1)
            cosines = x @ x.transpose(-1, -2)
        return cosines.clamp(min=0.0) if self.negatives == "removed" else cosines
