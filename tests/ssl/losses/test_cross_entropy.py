"""Cross-entropy in pieces: the formula, its gradient, shared targets."""

import pytest
import torch

from gigakit.ssl.losses import cross_entropy as module
from gigakit.ssl.losses.cross_entropy import cross_entropy


@pytest.fixture
def values():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(12, 7, generator=generator, dtype=torch.double) * 5
    targets = torch.rand(4, 7, generator=generator, dtype=torch.double)
    return logits.requires_grad_(), targets


def plain(logits, targets, temperature):
    repeated = targets.repeat(len(logits) // len(targets), 1)
    return -(repeated * (logits / temperature).log_softmax(dim=1)).sum(dim=1)


@pytest.mark.parametrize("at_once", [1, 21, 10**6])
def test_pieces_of_any_size_are_the_formula(values, at_once, monkeypatch):
    monkeypatch.setitem(module._AT_ONCE, "cpu", at_once)
    logits, targets = values
    outer = torch.arange(1.0, 13.0, dtype=torch.double)
    expected = plain(logits, targets, 0.1)
    (wanted,) = torch.autograd.grad((expected * outer).sum(), logits)
    found = cross_entropy(logits, targets, 0.1)
    (gradient,) = torch.autograd.grad((found * outer).sum(), logits)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient, wanted)


def test_the_gradient_is_that_of_finite_differences(values):
    logits, targets = values
    assert torch.autograd.gradcheck(lambda x: cross_entropy(x, targets, 0.7), logits)


def test_half_precision_is_summed_in_float32(values):
    logits, targets = values[0].detach().to(torch.bfloat16).requires_grad_(), values[1].float()
    found = cross_entropy(logits, targets, 0.1)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, plain(logits.detach().float(), targets, 0.1))
    found.sum().backward()
    assert logits.grad.dtype == torch.bfloat16


def test_no_row_has_no_loss(values):
    logits, targets = values
    assert cross_entropy(logits[:0], targets[:0], 0.1).shape == (0,)
    assert cross_entropy(logits[:0], targets, 0.1).sum() == 0
