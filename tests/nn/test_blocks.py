"""The LongNet block's own parts."""

from __future__ import annotations

import pytest
import torch

from gigakit.core.errors import ConfigError
from gigakit.nn.attention.full import FullAttention
from gigakit.nn.blocks import DropPath, LongNetBlock, SubLNFeedForward, initialise


def make(**changes):
    arguments = {"width": 16, "heads": 4, "hidden": 32, "attention": FullAttention(), **changes}
    return LongNetBlock(**arguments)


def test_drop_path_drops_whole_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    x = torch.ones(4000, 2, 3)
    dropped = DropPath(0.25).train()(x)
    values = dropped.unique(dim=0)
    assert [value.unique().tolist() for value in values] == [[0.0], [pytest.approx(4 / 3)]]
    assert abs(dropped.mean().item() - 1.0) < 0.05
    assert torch.equal(DropPath(0.25).eval()(x), x)
    assert torch.equal(DropPath(0.0).train()(x), x)


def test_a_block_whose_branches_are_dropped_is_the_identity():
    x = torch.randn(3, 5, 16)
    assert torch.equal(make(dropout=1.0).train()(x), x)
    assert not torch.equal(make(dropout=1.0).eval()(x), x)


def test_gelu_is_evaluated_in_at_least_float32():
    torch.manual_seed(0)
    feed_forward = SubLNFeedForward(8, 16)
    x = torch.randn(2, 4, 8)
    seen = []
    gelu = torch.nn.functional.gelu

    def record(hidden):
        seen.append(hidden.dtype)
        return gelu(hidden)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gigakit.nn.blocks.functional.gelu", record)
        for dtype in (torch.bfloat16, torch.float32, torch.float64):
            assert feed_forward.to(dtype)(x.to(dtype)).dtype == dtype
    assert seen == [torch.float32, torch.float32, torch.float64]


def test_long_sequences_in_pieces_are_the_same_without_gradients(monkeypatch):
    torch.manual_seed(0)
    feed_forward = SubLNFeedForward(8, 16).double()
    x = torch.randn(2, 7, 8, dtype=torch.float64)
    expected = feed_forward(x)
    lengths = []
    feed_forward.fc1.register_forward_pre_hook(lambda _, given: lengths.append(given[0].shape[1]))
    monkeypatch.setattr("gigakit.nn.blocks._TOKENS_AT_ONCE", 3)
    with torch.no_grad():
        assert (feed_forward(x) - expected).abs().max() < 1e-12
    assert lengths == [3, 3, 1]
    feed_forward(x)
    assert lengths == [3, 3, 1, 7]


def test_gradients_reach_every_parameter():
    block = make()
    block(torch.randn(2, 5, 16)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in block.parameters())


def test_initialisation_leaves_no_gain_of_sub_layer_norms():
    torch.manual_seed(0)
    block = make(width=64, hidden=256)
    block.apply(initialise)
    bound = (6 / (64 + 256)) ** 0.5
    assert 0.95 * bound < block.ffn.fc1.weight.abs().max() <= bound
    assert block.ffn.fc1.bias.abs().sum() == 0
    assert torch.equal(block.ffn.ffn_layernorm.weight, torch.ones(256))
    assert block.self_attn.inner_attn_ln.eps == 1e-5


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ConfigError, match="no multiple of 5 heads"):
        make(heads=5)
