"""What every attention variant must hold; a variant's test class inherits this.

The subclass gives ``config`` and a ``naive(q, k, v)`` formula, written independently.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gigakit.nn.attention.backends import BACKENDS, availability
from gigakit.registry import ATTENTIONS


class AttentionContract:
    """Shapes, gradients, the naive formula, padding, and equality of backends."""

    config: dict[str, Any]

    def naive(self, q, k, v):
        """Compute the variant on ``(B, L, H, D)`` by its formula."""
        raise AssertionError("give the naive formula")

    def build(self, **changes):
        return ATTENTIONS.build({**self.config, **changes})

    def inputs(self, length=37, batch=2, heads=4, dim=8, dtype=torch.float64):
        generator = torch.Generator().manual_seed(length)
        return [
            torch.randn(batch, length, heads, dim, generator=generator, dtype=dtype)
            for _ in range(3)
        ]

    def test_it_has_no_parameters(self):
        assert list(self.build().parameters()) == []

    @pytest.mark.parametrize("length", [1, 2, 17, 64])
    def test_it_is_its_formula(self, length):
        q, k, v = self.inputs(length)
        out = self.build()(q, k, v)
        assert out.shape == q.shape
        assert out.dtype == q.dtype
        assert (out - self.naive(q, k, v)).abs().max() < 1e-10

    def test_gradients_reach_every_input(self):
        tensors = [x.requires_grad_() for x in self.inputs()]
        self.build()(*tensors).square().sum().backward()
        assert all(x.grad.isfinite().all() and x.grad.abs().sum() > 0 for x in tensors)

    def test_a_padded_batch_equals_its_slides_one_by_one(self):
        q, k, v = self.inputs(29, batch=3)
        lengths = [29, 5, 18]
        padding = torch.arange(29)[None, :] >= torch.tensor(lengths)[:, None]
        out = self.build()(q, k, v, key_padding_mask=padding)
        for row, length in enumerate(lengths):
            alone = self.build()(*(x[row : row + 1, :length] for x in (q, k, v)))
            assert (out[row : row + 1, :length] - alone).abs().max() < 1e-12
            assert out[row, length:].abs().sum() == 0

    def test_all_backends_agree(self):
        variant = self.build()
        if not hasattr(variant, "backend"):
            pytest.skip("this variant has one way to be computed")
        q, k, v = self.inputs(33)
        variant.backend = "math"
        expected = variant(q, k, v)
        for name in BACKENDS:
            if availability(name, q.device, q.dtype, need_lse=True) is None:
                variant.backend = name
                assert (variant(q, k, v) - expected).abs().max() < 1e-10, name
