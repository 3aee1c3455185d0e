"""Predicting the teacher's tokens where the student's are masked."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from gigakit.registry import LOSSES
from gigakit.ssl.distillation import DistillationStep, Part
from gigakit.ssl.losses.cross_entropy import cross_entropy


@LOSSES.register_module()
class IbotLoss(nn.Module):
    """Cross-entropy of masked patch tokens, each image's tokens weighing together 1.

    Formula, with M masked tokens, weights ``w_m`` (1 over the masked tokens of its image) and N
    images, masked or not::

        sum_m w_m CE(s_m, t_m) / N

    Args:
        temperature: of the student.
        weight: of this loss in the sum; 1 in DINOv2.

    Source: iBOT (Zhou et al. 2022), equation 2; DINOv2's released weights: images without a mask
        count in the divisor, so half of the images masked gives half of the loss.
    """

    uses: ClassVar[tuple[Part, ...]] = ("patches",)

    def __init__(self, *, temperature: float = 0.1, weight: float = 1.0) -> None:
        super().__init__()
        self.temperature, self.weight = temperature, weight

    def of(self, step: DistillationStep) -> dict[str, Tensor]:
        """Return ``ibot`` of a step."""
        if step.patch_logits is None or step.patch_targets is None or step.patch_weights is None:
            raise ValueError("a step without logits of masked patches")
        images = step.cls.shape[:2].numel()
        return {"ibot": self(step.patch_logits, step.patch_targets, step.patch_weights, images)}

    def forward(self, student: Tensor, targets: Tensor, weights: Tensor, images: int) -> Tensor:
        """Return the loss; 0 where nothing is masked.

        Args:
            student: ``(M, K)`` logits of masked tokens.
            targets: ``(M, K)`` probabilities of the teacher at the same places.
            weights: ``(M,)``.
            images: N.
        """
        loss = cross_entropy(student, targets, self.temperature)
        return (loss * weights).sum() / images
