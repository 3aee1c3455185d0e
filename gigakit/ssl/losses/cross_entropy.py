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

    Formula: ``sum_k t_k logsumexp(s / temperature) - sum_k t_k s_k / temperature``. Of 65,536
    prototypes neither logarithms nor probabilities are kept for the backward pass.

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
        losses, normalizers, totals = [], [], []
        for rows, target in _pieces(logits, targets):
            scaled = at_least_float32(logits[rows]) / temperature
            normalizers.append(scaled.logsumexp(dim=1))
            totals.append(target.sum(dim=1))
            losses.append(totals[-1] * normalizers[-1] - torch.linalg.vecdot(target, scaled))
        empty = at_least_float32(logits[:0]).sum(dim=1)
        ctx.save_for_backward(
            logits, targets, torch.cat([empty, *normalizers]), torch.cat([empty, *totals])
        )
        ctx.temperature = temperature
        return torch.cat([empty, *losses])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, None, None]:
        logits, targets, normalizer, total = ctx.saved_tensors
        scale = (outer / ctx.temperature).unsqueeze(1)
        gradient = torch.empty_like(logits)
        for rows, target in _pieces(logits, targets):
            share = at_least_float32(logits[rows]).div(ctx.temperature)
            share.sub_(normalizer[rows].unsqueeze(1)).exp_().mul_(total[rows].unsqueeze(1))
            gradient[rows] = share.sub_(target).mul_(scale[rows])
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
