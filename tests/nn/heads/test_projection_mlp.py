"""The projection head of contrastive learning."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gigakit.core.errors import ConfigError
from gigakit.registry import HEADS


def build(**settings):
    torch.manual_seed(0)
    config = {"type": "ProjectionMlp", "output_dim": 5, "hidden": 7, **settings}
    return HEADS.build(config, input_dim=6)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_it_is_linear_layers_with_relu_between(layers):
    head = build(layers=layers)
    linear = [part for part in head.mlp if isinstance(part, nn.Linear)]
    assert [(part.in_features, part.out_features) for part in linear] == (
        [(6, 5)] if layers == 1 else [(6, 7), *[(7, 7)] * (layers - 2), (7, 5)]
    )
    x = torch.randn(4, 6, requires_grad=True)
    expected = x
    for index, part in enumerate(linear):
        expected = (expected.clamp(min=0) if index else expected) @ part.weight.T + part.bias
    torch.testing.assert_close(head(x), expected)
    head(x).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in head.parameters())


def test_batch_norm_centres_the_projections():
    projected = build(batch_norm=True).train()(torch.randn(50, 6))
    assert projected.mean(dim=0).abs().max() < 1e-5
    torch.testing.assert_close(
        projected.var(dim=0, unbiased=False), torch.ones(5), atol=1e-2, rtol=0
    )


def test_no_layer_is_refused():
    with pytest.raises(ConfigError, match="layers"):
        build(layers=0)
