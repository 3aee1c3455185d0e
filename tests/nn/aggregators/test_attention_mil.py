"""ABMIL against its equations, written out."""

import torch
from contracts.aggregator import WIDTH, AggregatorContract


def embedded(model, x):
    for layer in model.tiles:
        if isinstance(layer, torch.nn.Linear):
            x = torch.relu(x @ layer.weight.T + layer.bias)
    return x


class TestAttentionMil(AggregatorContract):
    config = {"type": "AttentionMil", "widths": [8, 6], "attention_width": 5}

    def naive(self, model, x):
        scores = model.scores
        h = embedded(model, x)
        energy = torch.tanh(h @ scores.value.weight.T + scores.value.bias)
        weights = (energy @ scores.score.weight.T + scores.score.bias).exp()
        return (weights / weights.sum() * h).sum(dim=0)


class TestGatedAttentionMil(AggregatorContract):
    config = {"type": "AttentionMil", "widths": [], "attention_width": 5, "gated": True}

    def naive(self, model, x):
        scores = model.scores
        gate = 1 / (1 + (-(x @ scores.gate.weight.T + scores.gate.bias)).exp())
        energy = torch.tanh(x @ scores.value.weight.T + scores.value.bias) * gate
        weights = (energy @ scores.score.weight.T + scores.score.bias).exp()
        return (weights / weights.sum() * x).sum(dim=0)

    def test_without_layers_the_tiles_themselves_are_summed(self):
        assert self.build().width == WIDTH
