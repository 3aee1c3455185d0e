"""Cross-entropy against probabilities, in pieces that keep nothing of the logits' size."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gigakit.ssl.precision import at_least_float32

# numbers that are worked on at once: they stay in a processor's cache, or fill a GPU
_AT_ONCE = {"cpu": 2**18}
_AT_ONCE_ELSEWHERE = 2**26


def cross_entropy(logits: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Return ``-sum_k t_k log softmax(s / temperature)_k`` ``(N,)``, in float32 or float64.

    Targets need not sum to one, and have no gradient.

    Of 65,536 prototypes neither logarithms nor probabilities are kept for the backward pass, which
    makes them again: ``(sum_k t_k) softmax(s / temperature) - t``, over the temperature.

    Args:
        logits: ``(N, K)``.
        targets: ``(M, K)``; row ``i`` of the logits is compared with row ``i mod M``, so views that
            follow one another share the targets of their images. N is a multiple of M.
        temperature: of the student.
    """
    losses: Tensor = _SoftCrossEntropy.apply(logits, targets, temperature)  # type: ignore[no-untyped-call]
    return losses


class _SoftCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, temperature: float) -> Tensor:
        ctx.save_for_backward(logits, targets)
        ctx.temperature = temperature
        # of no rows too
        losses = [at_least_float32(logits[:0]).sum(dim=1)]
        for rows, target in _pieces(logits, targets):
            scaled = at_least_float32(logits[rows]) / temperature
            losses.append(-torch.linalg.vecdot(target, scaled.log_softmax(dim=1)))
        return torch.cat(losses)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None, None]:
        logits, targets = ctx.saved_tensors
        scale = (outer / ctx.temperature).unsqueeze(1)
        gradient = torch.empty_like(logits)
        for rows, target in _pieces(logits, targets):
            share = (at_least_float32(logits[rows]) / ctx.temperature).softmax(dim=1)
            share.mul_(target.sum(dim=1, keepdim=True)).sub_(target)
            gradient[rows] = share.mul_(scale[rows])
        return gradient, None, None


def _pieces(logits: Tensor, targets: Tensor) -> list[tuple[slice, Tensor]]:
    """Return slices of the logits' rows, none of them over the end of the targets, with these."""
    number, period = len(logits), len(targets)
    at_once = _AT_ONCE.get(logits.device.type, _AT_ONCE_ELSEWHERE)
    step = min(max(1, at_once // max(1, logits.shape[1])), max(1, period))
    return [
        (slice(view + first, view + min(first + step, period)), targets[first : first + step])
        for view in range(0, number, max(1, period))
        for first in range(0, period, step)
    ]
