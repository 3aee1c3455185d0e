"""CLAM: its embeddings, and the loss on its tiles against the released steps, written out."""

import pytest
import torch
from contracts.aggregator import AggregatorContract
from torch.nn import functional

from gigakit.core.errors import ConfigError
from gigakit.registry import AGGREGATORS, HEADS


class TestClam(AggregatorContract):
    config = {"type": "Clam", "classes": 3, "width": 6, "attention_width": 5, "samples": 2}

    def naive(self, model, x):
        h = torch.relu(x @ model.tiles[0].weight.T + model.tiles[0].bias)
        s = model.scores
        gate = torch.sigmoid(h @ s.gate.weight.T + s.gate.bias)
        energy = torch.tanh(h @ s.value.weight.T + s.value.bias) * gate
        weights = torch.softmax(energy @ s.score.weight.T + s.score.bias, dim=0)
        found = weights.T @ h
        return found if model.multi else found[0]

    def loss(self, model, x, label):
        """Return the loss of one slide's tiles ``(L, D_in)``, as the released code finds it."""
        found = model(x[None], grid=x.new_zeros(1, len(x), 2))
        h = found.instances[0]
        weight, bias = model.tile_classifiers.weight, model.tile_classifiers.bias
        total = 0.0
        for c in range(model.classes):
            if not model.exclusive and c != label:
                continue
            a = found.class_attention[0, c] if model.multi else found.attention[0]
            top, low = torch.topk(a, 2).indices, torch.topk(-a, 2).indices
            chosen, targets = h[top], [0, 0]
            if c == label:
                chosen, targets = torch.cat([h[top], h[low]]), [1, 1, 0, 0]
            logits = chosen @ weight[2 * c : 2 * c + 2].T + bias[2 * c : 2 * c + 2]
            total = total + self.tile_loss(model, logits, torch.tensor(targets))
        return total / model.classes if model.exclusive else total

    def tile_loss(self, model, logits, targets):
        if not model.margin:
            return functional.cross_entropy(logits, targets)
        # log sum_j exp(s_j + [j != y]) - s_y
        right = logits.gather(1, targets[:, None])[:, 0]
        wrong = logits.gather(1, 1 - targets[:, None])[:, 0]
        return (torch.logaddexp(right, wrong + 1.0) - right).mean()

    @pytest.mark.parametrize("exclusive", [True, False])
    @pytest.mark.parametrize("tile_loss", ["svm", "cross_entropy"])
    def test_the_loss_of_tiles_is_the_released_one(self, exclusive, tile_loss):
        model = self.build(exclusive=exclusive, tile_loss=tile_loss)
        x, grid, padding = self.bags((11, 5, 7))
        label = torch.tensor([2, 0, 1])
        found = model.instance_loss(model(x, grid=grid, padding_mask=padding), label, padding)
        each = [
            self.loss(model, x[row, :length], int(label[row]))
            for row, length in enumerate((11, 5, 7))
        ]
        assert found.item() == pytest.approx(torch.stack(each).mean().item(), rel=1e-10)

    def test_slides_of_one_tile_have_no_such_loss_but_a_gradient(self):
        model = self.build()
        x, grid, _ = self.bags((1,))
        loss = model.instance_loss(model(x, grid=grid), torch.tensor([0]))
        loss.backward()
        assert loss.item() == 0.0
        assert model.tile_classifiers.weight.grad.abs().sum() == 0


class TestClamOfSeveralBranches(TestClam):
    config = {**TestClam.config, "branches": "multi"}
    per_class = 3

    def test_a_head_reads_each_class_from_its_own_embedding(self):
        head = HEADS.build({"type": "LinearHead", "input_dim": 6, "output_dim": 3}).double()
        x = torch.randn(2, 3, 6, dtype=torch.float64)
        for c in range(3):
            expected = x[:, c] @ head.linear.weight[c] + head.linear.bias[c]
            assert (head(x)[:, c] - expected).abs().max() < 1e-12


@pytest.mark.parametrize(
    "change", [{"branches": "two"}, {"tile_loss": "hinge"}, {"instance_weight": 1.0}]
)
def test_what_it_refuses(change):
    with pytest.raises(ConfigError, match=next(iter(change))):
        AGGREGATORS.build({"type": "Clam", "input_dim": 4, "classes": 2, **change})
