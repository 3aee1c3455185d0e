"""What is made again in a backward pass: the same to the bit, and not kept meanwhile."""

from __future__ import annotations

import pytest
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from gigakit.nn.recomputed import recomputed
from gigakit.nn.vit_blocks import FeedForward


def gradients(x, layer, *, again):
    """Return an MLP's gradients, and whether what its activation returned was kept for them."""
    before = x * 2.0
    hidden = functional.gelu(before)
    if again:
        with recomputed(hidden, lambda: functional.gelu(before)):
            out = layer(hidden)
    else:
        out = layer(hidden)
    place = StorageWeakRef(hidden.untyped_storage())
    del hidden
    kept = not place.expired()
    return torch.autograd.grad(out.square().sum(), [x, *layer.parameters()]), kept


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_the_same_to_the_bit_and_the_value_is_not_kept(dtype):
    torch.manual_seed(0)
    layer = torch.nn.Linear(8, 3, dtype=dtype)
    x = torch.randn(2, 5, 8, dtype=dtype, requires_grad=True)
    expected, kept = gradients(x, layer, again=False)
    found, kept_again = gradients(x, layer, again=True)
    assert (kept, kept_again) == (True, False)
    assert all(torch.equal(one, two) for one, two in zip(found, expected, strict=True))


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("half", [False, True])
def test_a_feed_forward_has_the_gradients_of_its_formula(gated, half):
    torch.manual_seed(0)
    module = FeedForward(6, 8, gated=gated)
    x, scale = torch.randn(1, 5, 6, requires_grad=True), torch.rand(6, requires_grad=True)

    def plain():
        before = module.fc1(x)
        if gated:
            gate, value = before.chunk(2, dim=-1)
            return module.fc2(functional.silu(gate) * value) * scale
        return module.fc2(functional.gelu(before)) * scale

    wanted = [x, scale, *module.parameters()]
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        outs = module(x, scale), plain()
    found, expected = (torch.autograd.grad(out.float().square().sum(), wanted) for out in outs)
    tolerance = 0.1 if half else 1e-5
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=tolerance, atol=tolerance)


def test_checkpointing_keeps_the_input_of_a_block_alone():
    module = FeedForward(6, 8, gated=False)
    places = []
    module.fc1.register_forward_hook(
        lambda _module, _given, out: places.append(StorageWeakRef(out.untyped_storage()))
    )
    x = torch.randn(2, 5, 6, requires_grad=True)
    out = checkpoint(module, x, use_reentrant=False)
    assert [place.expired() for place in places] == [True]
    expected = torch.autograd.grad(module(x).sum(), x)
    assert torch.equal(*torch.autograd.grad(out.sum(), x), *expected)


def test_a_second_derivative_goes_through_it():
    layer = torch.nn.Linear(4, 1).double()
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)

    def of(x):
        hidden = torch.tanh(x)
        with recomputed(hidden, lambda: torch.tanh(x)):
            return layer(hidden)

    assert torch.autograd.gradgradcheck(of, (x,))
