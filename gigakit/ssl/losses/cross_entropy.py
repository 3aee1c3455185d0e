"""Cross-entropy against probabilities."""

from __future__ import annotations

from torch import Tensor

from gigakit.ssl.precision import at_least_float32


def cross_entropy(logits: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Return ``-sum_k t_k log softmax(s / temperature)_k`` of logits ``(..., K)``, in float32.

    Targets need not sum to one, and broadcast.

    Formula: ``sum_k t_k logsumexp(s / temperature) - sum_k t_k s_k / temperature``, which keeps no
    log-probabilities.
    """
    scaled = at_least_float32(logits) / temperature
    aligned = (targets * scaled).sum(dim=-1)
    total: Tensor = targets.sum(dim=-1) * scaled.logsumexp(dim=-1) - aligned
    return total
