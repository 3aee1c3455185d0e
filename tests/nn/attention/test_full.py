"""Full attention."""

from __future__ import annotations

import torch
from contracts.attention import AttentionContract


class TestFullAttention(AttentionContract):
    config = {"type": "FullAttention"}

    def naive(self, q, k, v):
        scores = torch.einsum("blhd,bmhd->bhlm", q, k) / q.shape[-1] ** 0.5
        return torch.einsum("bhlm,bmhd->blhd", scores.softmax(-1), v)

    def test_it_says_over_how_many_tokens(self):
        assert self.build().describe(70_122) == "full attention over 70122 tokens"

    def test_flops_are_two_matrix_products(self):
        assert self.build().flops(10, 2, 4) == 2 * (2 * 10 * 10 * 2 * 4)
