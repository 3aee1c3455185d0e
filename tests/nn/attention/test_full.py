"""Full attention."""

from __future__ import annotations

import pytest
import torch
from contracts.attention import AttentionContract


class TestFullAttention(AttentionContract):
    config = {"type": "FullAttention"}

    def naive(self, q, k, v):
        scores = torch.einsum("blhd,bmhd->bhlm", q, k) / q.shape[-1] ** 0.5
        return torch.einsum("bhlm,bmhd->blhd", scores.softmax(-1), v)

    @pytest.mark.parametrize(("length", "acting"), [(0, 0), (1, 1), (70_122, 1)])
    def test_all_tokens_are_linked_at_once(self, length, acting):
        assert self.build().acting_branches(length) == acting
        assert f"{length} tokens" in self.build().describe(length)

    def test_flops_are_two_matrix_products(self):
        assert self.build().flops(10, 2, 4) == 2 * (2 * 10 * 10 * 2 * 4)
