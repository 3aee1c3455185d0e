"""What the losses of a step of self-distillation are made from.

Shapes: B images of 2 global and L local crops, N = 2 B rows crop by crop, P patches of a global
crop, M masked patches of all rows, D width, K prototypes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

Part = Literal["cls", "patches", "tokens"]


@dataclass(frozen=True)
class MaskedPatches:
    """Which patches of a batch the student does not see; all ``None`` where it sees all.

    Args:
        masks: ``(N, P)`` bool, True = masked out.
        indices: ``(M,)`` their places in ``(N P,)``.
        weights: ``(M,)``, 1 over the masked patches of its row.
        count: how many of the M are masked patches; the rest, of weight 0, fills up to a length
            that is the same for all batches. ``None`` if all are.
    """

    masks: Tensor | None = None
    indices: Tensor | None = None
    weights: Tensor | None = None
    count: Tensor | None = None


@dataclass(frozen=True)
class DistillationStep:
    """The student's and the teacher's view of a batch.

    Args:
        cls: ``(2, B, D)`` the student's class tokens of global crops, before the head.
        local_cls: ``(L, B, D)`` of local crops; L may be 0.
        patches: ``(N, P, D)`` the student's patch tokens of global crops, masked ones among them;
            ``None`` where no loss uses ``tokens``, as what follows.
        teacher_patches: ``(N, P, D)`` the teacher's, which sees no mask.
        logits: ``(2, B, K)`` of ``cls``; ``None`` where no loss uses it, as all that follows.
        local_logits: ``(L, B, K)``.
        targets: ``(2, B, K)`` probabilities of the teacher.
        patch_logits: ``(M, K)`` the student's, of masked patches.
        patch_targets: ``(M, K)`` the teacher's, at the same places.
        patch_weights: ``(M,)``, 1 over the masked patches of its row.
    """

    cls: Tensor
    local_cls: Tensor
    patches: Tensor | None = None
    teacher_patches: Tensor | None = None
    logits: Tensor | None = None
    local_logits: Tensor | None = None
    targets: Tensor | None = None
    patch_logits: Tensor | None = None
    patch_targets: Tensor | None = None
    patch_weights: Tensor | None = None


class DistillationLoss(Protocol):
    """A loss that :class:`~gigakit.ssl.objectives.self_distillation.SelfDistillation` adds up.

    Attributes:
        uses: what it needs beside class tokens: ``cls``, their logits and targets; ``patches``,
            those of masked patches; ``tokens``, all patch tokens, before the head.
        weight: what its values are multiplied by.
    """

    uses: tuple[Part, ...]
    weight: float

    def of(self, step: DistillationStep) -> dict[str, Tensor]:
        """Return its values by name, before the weight."""
        ...
