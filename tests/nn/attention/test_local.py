"""Local attention against full attention with everything far away taken out."""

from __future__ import annotations

import pytest
import torch
from contracts.attention import AttentionContract

from gigakit.core.errors import ConfigError
from gigakit.registry import ATTENTIONS


class TestLocalAttention(AttentionContract):
    config = {"type": "LocalAttention", "reach": 5}

    def naive(self, q, k, v):
        place = torch.arange(q.shape[1])
        far = (place[:, None] - place[None, :]).abs() > self.config["reach"]
        scores = torch.einsum("bihd,bjhd->bhij", q, k) / q.shape[-1] ** 0.5
        weights = scores.masked_fill(far, -torch.inf).softmax(-1)
        return torch.einsum("bhij,bjhd->bihd", weights, v)


@pytest.mark.parametrize("length", [1, 4, 5, 6, 10, 11, 30])
@pytest.mark.parametrize("reach", [1, 5, 40])
def test_borders_blocks_and_gradients_are_exact(length, reach):
    case = TestLocalAttention()
    case.config = {"type": "LocalAttention", "reach": reach}
    inputs = [x.requires_grad_() for x in case.inputs(length)]
    found, expected = case.build()(*inputs), case.naive(*inputs)
    assert (found - expected).abs().max() < 1e-12
    gradients = zip(
        torch.autograd.grad(found.sin().sum(), inputs),
        torch.autograd.grad(expected.sin().sum(), inputs),
        strict=True,
    )
    assert all((one - other).abs().max() < 1e-12 for one, other in gradients)


@pytest.mark.parametrize("length", [1, 6, 50])
def test_flops_are_those_of_the_band(length):
    place = torch.arange(length)
    pairs = ((place[:, None] - place[None, :]).abs() <= 5).sum().item()
    assert TestLocalAttention().build().flops(length, 3, 8) == 4 * pairs * 3 * 8


def test_it_says_when_it_is_full_attention():
    variant = TestLocalAttention().build()
    assert variant.describe(6).startswith("full attention")
    assert variant.describe(7) == "local attention to 5 of 7 tokens on each side"


def test_a_reach_of_nothing_is_refused():
    with pytest.raises(ConfigError, match=r"LocalAttention\.reach"):
        ATTENTIONS.build({"type": "LocalAttention", "reach": 0})
