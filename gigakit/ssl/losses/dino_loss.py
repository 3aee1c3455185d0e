"""Predicting the teacher's view of an image from other views: class tokens."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from gigakit.registry import LOSSES
from gigakit.ssl.distillation import DistillationStep, Part
from gigakit.ssl.losses.cross_entropy import cross_entropy


@LOSSES.register_module()
class DinoLoss(nn.Module):
    """Cross-entropy between views of an image, by class tokens.

    Formula, with L local crops, student logits ``s``, teacher probabilities ``t`` of 2 global
    crops, ``CE(s, t) = -mean_b sum_k t log softmax(s / temperature)`` and n = 2 L + 2 pairs::

        local  = sum_l [CE(s_l, t_1) + CE(s_l, t_2)] / n
        global = [CE(s_1, t_2) + CE(s_2, t_1)] / n

    A view is never compared with itself.

    Args:
        temperature: of the student.
        weight: of this loss in the sum; 1 in DINOv2.

    Source: DINO (Caron et al. 2021), equation 1; DINOv2's released weighting of the pairs.
    """

    uses: ClassVar[tuple[Part, ...]] = ("cls",)

    def __init__(self, *, temperature: float = 0.1, weight: float = 1.0) -> None:
        super().__init__()
        self.temperature, self.weight = temperature, weight

    def of(self, step: DistillationStep) -> dict[str, Tensor]:
        """Return ``dino_local`` and ``dino_global`` of a step."""
        if step.logits is None or step.local_logits is None or step.targets is None:
            raise ValueError("a step without logits of class tokens")
        parts = self(step.logits, step.local_logits, step.targets)
        return {f"dino_{name}": value for name, value in parts.items()}

    def forward(
        self, student_global: Tensor, student_local: Tensor, targets: Tensor
    ) -> dict[str, Tensor]:
        """Return ``local`` and ``global``; their sum is the loss.

        Args:
            student_global: ``(2, B, K)`` logits.
            student_local: ``(L, B, K)`` logits; L may be 0.
            targets: ``(2, B, K)`` probabilities of the teacher.
        """
        crops, images = student_local.shape[:2]
        pairs = 2 * crops + 2
        crossed = cross_entropy(
            student_global.flatten(0, 1), targets.flip(0).flatten(0, 1), self.temperature
        ).sum()
        # both views at once: the loss is linear in the targets
        both = targets.sum(dim=0)
        local = cross_entropy(student_local.flatten(0, 1), both, self.temperature).sum()
        return {"local": local / (images * pairs), "global": crossed / (images * pairs)}
