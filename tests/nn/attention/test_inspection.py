"""Weights read off a variant are those it computes with."""

from __future__ import annotations

import pytest
import torch

from gigakit.nn.attention.inspection import attention_weights, captured_inputs
from gigakit.registry import ATTENTIONS, BACKBONES


def inputs(length=20, heads=4, dim=8):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, length, heads, dim, generator=generator) for _ in range(3)]


def test_weights_of_full_attention_are_its_softmax():
    q, k, _ = inputs()
    found = attention_weights(ATTENTIONS.build({"type": "FullAttention"}), q, k, [3, 0])
    scores = torch.einsum("lhd,mhd->hlm", q[0], k[0]) / 8**0.5
    expected = scores.softmax(-1)[:, [3, 0]].permute(1, 2, 0)
    assert (found - expected).abs().max() < 1e-6


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_weights_make_the_output_in_whatever_mode(mode):
    variant = ATTENTIONS.build(
        {"type": "DilatedAttention", "segment_lengths": [4, 16], "dilation_ratios": [1, 2]}
    )
    q, k, v = inputs()
    with mode():
        out = variant(q, k, v)
        weights = attention_weights(variant, q, k, [5, 19])
    made = torch.einsum("qmh,mhd->qhd", weights, v[0])
    assert (made - out[0, [5, 19]]).abs().max() < 1e-6


def test_links_of_dilated_attention_are_those_of_its_text():
    segments, ratios, heads, length = [4, 16], [1, 2], 4, 20
    variant = ATTENTIONS.build(
        {
            "type": "DilatedAttention",
            "segment_lengths": segments,
            "dilation_ratios": ratios,
        }
    )
    q, k = (torch.randn(1, length, heads, 32) for _ in range(2))
    found = attention_weights(variant, q, k, range(length)) != 0
    for i, j, h in torch.cartesian_prod(*(torch.arange(n) for n in (length, length, heads))):
        linked = False
        for w, r in zip(segments, ratios, strict=True):
            offset = h // (heads // r) if r > 1 else 0
            local = [int(x) % w for x in (i, j)]
            linked |= int(i) // w == int(j) // w and all(u % r == offset for u in local)
        assert found[i, j, h] == linked


def test_more_queries_than_channels_are_refused():
    q, k, _ = inputs(dim=8)
    with pytest.raises(ValueError, match="9 queries, but 8 channels"):
        attention_weights(ATTENTIONS.build({"type": "FullAttention"}), q, k, range(9))


@pytest.mark.parametrize(("call", "block"), [(-1, 2), (0, 0), (1, 1)])
def test_inputs_of_the_block_asked_for_are_kept(call, block):
    torch.manual_seed(0)
    config = {"type": "LongNet", "input_dim": 6, "width": 16, "depth": 3, "heads": 4}
    encoder = BACKBONES.build(config).eval()
    seen = []
    attend = encoder.encoder.layers[block].self_attn
    attend.q_proj.register_forward_hook(lambda _m, _i, out: seen.append(out))
    features, grid = torch.randn(1, 5, 6), torch.zeros(1, 5, 2)
    with torch.no_grad(), captured_inputs(encoder.attention, call) as kept:
        encoder(features, grid)
    q, _ = kept
    assert torch.equal(q.flatten(-2), seen[0])
    with torch.no_grad():
        encoder(features + 1, grid)
    assert torch.equal(kept[0], q), "what comes later is not kept"
