"""Linear attention against its formula, token by token."""

from __future__ import annotations

import torch
from contracts.attention import AttentionContract


class TestLinearAttention(AttentionContract):
    config = {"type": "LinearAttention"}

    def naive(self, q, k, v):
        def phi(x):
            return torch.where(x > 0, x + 1, x.exp())

        weights = torch.einsum("bihd,bjhd->bhij", phi(q), phi(k))
        weights = weights / weights.sum(-1, keepdim=True)
        return torch.einsum("bhij,bjhd->bihd", weights, v)


def test_its_cost_is_linear():
    variant = TestLinearAttention().build()
    assert variant.flops(2000, 4, 8) == 2 * variant.flops(1000, 4, 8) == 4 * 2000 * 4 * 64
