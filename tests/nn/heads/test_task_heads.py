"""Heads of slide-level models, against their formulas."""

import torch

from gigakit.registry import HEADS


def test_a_linear_head_is_its_formula():
    head = HEADS.build({"type": "LinearHead", "input_dim": 5, "output_dim": 3})
    x = torch.randn(4, 5)
    assert torch.allclose(head(x), x @ head.linear.weight.T + head.linear.bias)


def test_an_mlp_head_is_its_formula_and_trains():
    head = HEADS.build({"type": "MlpHead", "input_dim": 5, "output_dim": 3, "widths": [7]}).eval()
    x = torch.randn(4, 5, requires_grad=True)
    first = head.hidden[0]
    hidden = x @ first.weight.T + first.bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
    assert torch.allclose(head(x), hidden @ head.linear.weight.T + head.linear.bias, atol=1e-6)
    head(x).sum().backward()
    assert all(p.grad is not None for p in head.parameters())


def test_an_mlp_head_takes_an_embedding_a_class():
    head = HEADS.build({"type": "MlpHead", "input_dim": 5, "output_dim": 3, "widths": [7]}).eval()
    x = torch.randn(4, 3, 5)
    alone = torch.stack([head(x[:, c])[:, c] for c in range(3)], dim=1)
    assert torch.allclose(head(x), alone, atol=1e-6)
