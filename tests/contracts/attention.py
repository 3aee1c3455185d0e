"""What every attention variant must hold; a variant's test class inherits this.

The subclass gives ``config`` and a ``naive(q, k, v)`` formula, written independently; and
``needs_lse = True`` if the variant asks its backend for the log-sum-exp.
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
    needs_lse = False

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

    def test_its_defaults_build_and_it_has_no_parameters(self):
        variant = ATTENTIONS.build({"type": self.config["type"]})
        assert list(variant.parameters()) == []
        q, k, v = self.inputs(dtype=torch.float32)
        assert variant(q, k, v).isfinite().all()

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_lower_precision_stays_near_its_formula(self, dtype):
        exact = self.inputs()
        out = self.build()(*(x.to(dtype) for x in exact))
        assert out.dtype == dtype
        assert out.shape == exact[0].shape
        tolerance = 2e-5 if dtype == torch.float32 else 0.05
        assert (out.double() - self.naive(*exact)).abs().max() < tolerance

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

    def test_no_tokens_at_all_are_harmless(self):
        tensors = [x.requires_grad_() for x in self.inputs(0)]
        out = self.build()(*tensors)
        out.sum().backward()
        assert out.shape == tensors[0].shape
        assert all(x.grad is not None for x in tensors)

    def test_a_slide_without_tokens_is_harmless(self):
        tensors = [x.requires_grad_() for x in self.inputs(6)]
        padding = torch.zeros(2, 6, dtype=torch.bool)
        padding[1] = True
        out = self.build()(*tensors, key_padding_mask=padding)
        out.square().sum().backward()
        assert out[0].abs().sum() > 0
        assert out[1].abs().sum() == 0
        assert all(x.grad.isfinite().all() for x in tensors)

    def test_all_backends_agree(self):
        variant = self.build()
        if not hasattr(variant, "backend"):
            pytest.skip("this variant has one way to be computed")

        def compute(backend):
            variant.backend = backend
            tensors = [x.requires_grad_() for x in self.inputs(33)]
            out = variant(*tensors)
            out.sin().sum().backward()
            return [out, *(x.grad for x in tensors)]

        expected = compute("math")
        device, dtype = expected[0].device, expected[0].dtype
        for name in BACKENDS:
            if availability(name, device, dtype, need_lse=self.needs_lse) is None:
                for found, wanted in zip(compute(name), expected, strict=True):
                    assert (found - wanted).abs().max() < 1e-10, name
