"""Stochastic depth against arrays of DINOv2's released code and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gigakit.nn import stochastic_depth
from gigakit.nn.crop_groups import join_groups, split_groups
from gigakit.nn.stochastic_depth import StochasticDepth, draw_subset, drop_path_rates


@pytest.fixture
def arrays(shared):
    loaded = np.load(shared / "reference/ssl/stochastic_depth.npz")
    return {name: torch.from_numpy(loaded[name]) for name in loaded}


def replay(monkeypatch, *permutations):
    """Have the recorded permutations drawn, in their order."""
    left = list(permutations)

    def randperm(samples, device):
        assert len(left[0]) == samples
        return left.pop(0)

    monkeypatch.setattr(stochastic_depth.torch, "randperm", randperm)
    return left


def test_one_batch_as_published(arrays, monkeypatch):
    left = replay(monkeypatch, arrays["single_perm"])
    depth = StochasticDepth(float(arrays["drop_ratio"])).train()
    found = depth(arrays["x_global"], lambda x, groups: x @ arrays["weight"])
    torch.testing.assert_close(found, arrays["single_out"], atol=2e-6, rtol=0)
    assert left == []


def test_packed_groups_as_published(arrays, monkeypatch):
    names = ("global", "local")
    left = replay(monkeypatch, *(arrays[f"list_perm_{name}"] for name in names))
    parts = [arrays[f"x_{name}"] for name in names]
    groups = tuple(part.shape[:2] for part in parts)
    seen = []

    def branch(x, kept):
        seen.append(kept)
        return (x @ arrays["weight"]) * arrays["gamma"]

    depth = StochasticDepth(float(arrays["drop_ratio"])).train()
    found = split_groups(depth(join_groups(parts), branch, groups), groups)
    for name, part in zip(names, found, strict=True):
        torch.testing.assert_close(part, arrays[f"list_out_{name}"], atol=2e-6, rtol=0)
    kept = [int(arrays[f"kept_{name}"]) for name in names]
    assert seen == [((kept[0], parts[0].shape[1]), (kept[1], parts[1].shape[1]))]
    assert left == []


def test_gradients_are_those_of_a_loop_over_samples():
    torch.manual_seed(0)
    x = torch.randn(5, 3, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 4, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(3)
    found = StochasticDepth(0.5).train()(x, lambda tokens, _: (tokens @ weight).sin())
    torch.manual_seed(3)
    kept = draw_subset(5, 0.5, x.device).tolist()
    assert len(kept) == 2
    rows = [x[i] + 2.5 * (x[i] @ weight).sin() if i in kept else x[i] for i in range(5)]
    expected = torch.stack(rows)
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        *(torch.autograd.grad(out.cos().sum(), (x, weight)) for out in (found, expected)),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_sample_by_sample_whole_samples_go_in_a_packed_sequence_too():
    torch.manual_seed(0)
    parts = [torch.zeros(300, 2, 1), torch.zeros(500, 3, 1)]
    groups = tuple(part.shape[:2] for part in parts)
    depth = StochasticDepth(0.25, "sample").train()
    packed = depth(join_groups(parts), lambda x, _: torch.ones_like(x), groups)
    for part in split_groups(packed, groups):
        assert part.unique().tolist() == [0.0, pytest.approx(4 / 3)]
        assert (part == part[:, :1]).all()
        assert abs(part.mean().item() - 1.0) < 0.1


def test_all_samples_in_evaluation_or_at_rate_0():
    x = torch.randn(4, 2, 3)
    for depth in (StochasticDepth(0.5).eval(), StochasticDepth(0.0).train()):
        assert torch.equal(depth(x, lambda tokens, _: tokens), x + x)


def test_at_least_one_sample_stays():
    assert len(draw_subset(1, 0.9, torch.device("cpu"))) == 1
    assert len(draw_subset(4, 0.3, torch.device("cpu"))) == 2


def test_rates_over_depth():
    assert drop_path_rates(0.3, 3, "uniform") == [0.3] * 3
    assert drop_path_rates(0.3, 4, "linear") == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert drop_path_rates(0.3, 1, "linear") == [0.0]
