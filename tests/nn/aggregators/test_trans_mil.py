"""TransMIL against its layers, written out with loops."""

import math

import pytest
import torch
from contracts.aggregator import AggregatorContract

from gigakit.core.errors import ConfigError
from gigakit.registry import AGGREGATORS


def layer(module, x):
    """Compute attention with convolved values, token by token."""
    width, heads = x.shape[1], module.heads
    dim = width // heads
    normed = torch.nn.functional.layer_norm(x, (width,), module.norm.weight, module.norm.bias)
    q, k, v = (normed @ w.T for w in module.qkv.weight.chunk(3))
    kernel = module.convolve.weight[:, 0, :, 0]
    reach = kernel.shape[1] // 2
    out = torch.zeros_like(x)
    for h in range(heads):
        part = slice(h * dim, (h + 1) * dim)
        weights = torch.softmax(q[:, part] @ k[:, part].T / math.sqrt(dim), dim=1)
        out[:, part] = weights @ v[:, part]
        for t in range(len(x)):
            for j in range(-reach, reach + 1):
                if 0 <= t + j < len(x):
                    out[t, part] += kernel[h, j + reach] * v[t + j, part]
    linear = module.project[0]
    return x + out @ linear.weight.T + linear.bias


def pyramid(module, x, side):
    square = x[1:].reshape(side, side, -1)
    mixed = square.clone()
    for convolution in module.scales:
        weight, reach = convolution.weight[:, 0], convolution.weight.shape[-1] // 2
        for row in range(side):
            for column in range(side):
                mixed[row, column] += convolution.bias
                for i in range(max(0, row - reach), min(side, row + reach + 1)):
                    for j in range(max(0, column - reach), min(side, column + reach + 1)):
                        mixed[row, column] += (
                            weight[:, i - row + reach, j - column + reach] * square[i, j]
                        )
    return torch.cat([x[:1], mixed.reshape(side * side, -1)])


class TestTransMil(AggregatorContract):
    config = {"type": "TransMil", "width": 8, "heads": 2, "value_kernel": 5}
    order_counts = True
    has_attention = False

    def naive(self, model, x):
        with torch.no_grad():
            h = torch.relu(x @ model.tiles[0].weight.T + model.tiles[0].bias)
            side = math.ceil(math.sqrt(len(h)))
            h = torch.cat([model.token[0], h, h[: side * side - len(h)]])
            h = layer(model.second, pyramid(model.pyramid, layer(model.first, h), side))
            return torch.nn.functional.layer_norm(h[0], (8,), model.norm.weight, model.norm.bias)

    @pytest.mark.parametrize("change", [{"heads": 3}, {"value_kernel": 4}])
    def test_what_it_refuses(self, change):
        with pytest.raises(ConfigError, match=next(iter(change))):
            AGGREGATORS.build({"type": "TransMil", "input_dim": 4, "width": 8, **change})
