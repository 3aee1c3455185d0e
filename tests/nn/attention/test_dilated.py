"""Dilated attention against its text and against arrays of the published code."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
import torch
from contracts.attention import AttentionContract

from gigakit.core.errors import ConfigError
from gigakit.nn.attention import dilated
from gigakit.registry import ATTENTIONS


def offset(scheme, h, H, r):
    return {"block": h // math.ceil(H / r), "modulo": h % r, "none": 0}[scheme]


def naive_dilated(q, k, v, config):
    """Branch by branch, segment by segment, head by head, differentiable throughout."""
    B, T, H, D = q.shape
    masked = config.get("tail_padding") == "masked"
    fixed = config.get("misaligned_segments") == "fixed"
    outs, lses = [], []
    for w, r in zip(config["segment_lengths"], config["dilation_ratios"], strict=True):
        out = [[torch.zeros(B, D, dtype=q.dtype)] * H for _ in range(T)]
        lse = [[torch.full((B,), -1e8, dtype=q.dtype)] * H for _ in range(T)]
        s = min(w, T)
        padded = math.ceil(s / r) * r
        for i, h in itertools.product(range(math.ceil(T / s)), range(H)):
            first = offset(config.get("head_offsets", "block"), h, H, r)
            local = [u for u in range(first, padded, r) if not masked or (u < s and i * s + u < T)]
            rows = [
                [
                    x[:, i * s + u, h]
                    if u < s and i * s + u < T
                    else torch.zeros(B, D, dtype=q.dtype)
                    for u in local
                ]
                for x in (q, k, v)
            ]
            if not local:
                continue
            qs, ks, vs = (torch.stack(row, dim=1) for row in rows)
            scores = qs @ ks.transpose(1, 2) / D**0.5
            answers, sums = scores.softmax(-1) @ vs, scores.logsumexp(-1)
            for j, u in enumerate(local):
                place = i * (s if fixed else padded) + u
                if place < T and (u < s or not fixed):
                    out[place][h], lse[place][h] = answers[:, j], sums[:, j]
        outs.append(torch.stack([torch.stack(row, dim=1) for row in out], dim=1))
        lses.append(torch.stack([torch.stack(row, dim=1) for row in lse], dim=1))
    lse = torch.stack(lses)
    if config.get("merge") == "mean":
        covered = (lse > -1e7).to(q.dtype)
        weights = covered / covered.sum(0).clamp(min=1)
    else:
        weights = lse.softmax(0)
    if config.get("merge_gradient") != "exact":
        weights = weights.detach()
    return (torch.stack(outs) * weights.unsqueeze(-1)).sum(0)


class TestDilatedAttention(AttentionContract):
    config = {
        "type": "DilatedAttention",
        "segment_lengths": [8, 24, 64],
        "dilation_ratios": [1, 2, 4],
    }
    needs_lse = True

    def naive(self, q, k, v):
        return naive_dilated(q, k, v, self.config)


class TestAsInTheLongNetPaper(TestDilatedAttention):
    """Offsets by h mod r, no padding, one softmax in forward and backward."""

    config = TestDilatedAttention.config | {
        "head_offsets": "modulo",
        "tail_padding": "masked",
        "merge_gradient": "exact",
    }


OPTIONS = {
    "head_offsets": ("block", "modulo", "none"),
    "tail_padding": ("zeros", "masked"),
    "merge": ("lse", "mean"),
    "merge_gradient": ("detached", "exact"),
    "misaligned_segments": ("compat", "fixed"),
}
# heads that no ratio divides, offsets without heads, ragged ends, misaligned segments
SHAPES = [
    (23, 5, [8, 16], [2, 3]),
    (16, 3, [6, 10, 64], [1, 4, 8]),
    (13, 4, [5, 13], [3, 2]),
]


@pytest.mark.parametrize("at_once", [1, 2**12])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("choice", list(itertools.product(*OPTIONS.values())), ids="-".join)
def test_every_choice_is_its_formula_in_forward_and_gradient(choice, shape, at_once, monkeypatch):
    monkeypatch.setattr(dilated, "_AT_ONCE_CPU", at_once)
    T, H, segments, ratios = shape
    config = dict(zip(OPTIONS, choice, strict=True)) | {
        "segment_lengths": segments,
        "dilation_ratios": ratios,
    }
    generator = torch.Generator().manual_seed(T)
    *inputs, grad = (
        torch.randn(2, T, H, 4, generator=generator, dtype=torch.float64) for _ in range(4)
    )
    inputs = [x.requires_grad_() for x in inputs]
    expected = naive_dilated(*inputs, config)
    found = ATTENTIONS.build({"type": "DilatedAttention", **config})(*inputs)
    assert (found - expected).abs().max() < 1e-12
    gradients = torch.autograd.grad(found, inputs, grad)
    for gradient, wanted in zip(
        gradients, torch.autograd.grad(expected, inputs, grad), strict=True
    ):
        assert (gradient - wanted).abs().max() < 1e-12


def test_gradients_of_a_padded_batch_are_those_of_its_slides():
    variant = TestDilatedAttention().build()
    *inputs, grad = (
        torch.cat([x, x + 1])
        for x in [*TestDilatedAttention().inputs(29), TestDilatedAttention().inputs(29)[0]]
    )
    lengths = [29, 7, 7, 0]
    padding = torch.arange(29)[None, :] >= torch.tensor(lengths)[:, None]
    inputs = [x.requires_grad_() for x in inputs]
    found = torch.autograd.grad(variant(*inputs, key_padding_mask=padding), inputs, grad)
    for row, length in enumerate(lengths):
        alone = [x[row : row + 1, :length].detach().requires_grad_() for x in inputs]
        if length:
            wanted = torch.autograd.grad(variant(*alone), alone, grad[row : row + 1, :length])
            for gradient, expected in zip(found, wanted, strict=True):
                assert (gradient[row, :length] - expected[0]).abs().max() < 1e-12
        assert all(gradient[row, length:].abs().sum() == 0 for gradient in found)


def test_strides_do_not_matter():
    exact = TestDilatedAttention().inputs(29)
    expected = TestDilatedAttention().build()(*exact)
    # a fused projection, and heads first
    fused = torch.stack(exact, dim=2).unbind(dim=2)
    heads_first = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in exact]
    for inputs in (fused, heads_first):
        assert torch.equal(TestDilatedAttention().build()(*inputs), expected)


@pytest.mark.parametrize(("choice", "warned"), [("compat", True), ("fixed", False)])
def test_misaligned_segments_are_warned_of_once_where_they_matter(choice, warned, caplog):
    variant = ATTENTIONS.build(
        {
            "type": "DilatedAttention",
            "segment_lengths": [8, 10],
            "dilation_ratios": [1, 4],
            "misaligned_segments": choice,
        }
    )
    for length in (10, 11, 30):
        q, k, v = TestDilatedAttention().inputs(length)
        variant(q, k, v)
        if length == 10:
            assert caplog.text == ""
    assert caplog.text.count("misaligned_segments='fixed'") == int(warned)


def test_an_unknown_choice_is_refused():
    with pytest.raises(ConfigError, match="choose from block, modulo, none"):
        ATTENTIONS.build({"type": "DilatedAttention", "head_offsets": "blocks"})


@pytest.fixture(scope="module")
def reference(shared):
    folder = shared / "reference" / "slide_encoder"
    cases = json.loads((folder / "dilated_attention_core.json").read_text())
    return cases, np.load(folder / "dilated_attention_core.npz")


def build(case):
    return ATTENTIONS.build(
        {
            "type": "DilatedAttention",
            "segment_lengths": case["segment_length"],
            "dilation_ratios": case["dilated_ratio"],
        }
    )


# what bfloat16 does to outputs and gradients of size 1 was measured: 0.035, to log-sum-exps 0.05
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-10), (torch.float32, 2e-5), (torch.bfloat16, 0.06)],
)
def test_published_outputs_branches_and_gradients(reference, dtype, tolerance):
    cases, arrays = reference
    assert len(cases) == 18
    worst = {}
    for name, case in cases.items():
        q, k, v = (
            torch.from_numpy(arrays[f"{name}.{x}"]).to(dtype).requires_grad_() for x in "qkv"
        )
        variant = build(case)
        out = variant(q, k, v)
        found = {"out": out.detach()}
        if "branch_out" in case["has"]:
            outs, lses = zip(*variant.branch_outputs(q, k, v), strict=True)
            found["branch_out"] = torch.stack([x.detach().transpose(1, 2) for x in outs])
            found["branch_lse"] = torch.stack([x.transpose(1, 2) for x in lses])
            found["branch_weight"] = found["branch_lse"].softmax(0)
        if "g" in case["has"]:
            (out * torch.from_numpy(arrays[f"{name}.g"]).to(dtype)).sum().backward()
            found |= {"dq": q.grad, "dk": k.grad, "dv": v.grad}
        for key, value in found.items():
            expected = torch.from_numpy(arrays[f"{name}.{key}"])
            difference = (value.double() - expected.double()).abs().max().item()
            worst[f"{name}.{key}"] = difference
    assert {key: value for key, value in worst.items() if value > tolerance} == {}


@pytest.mark.parametrize(
    ("length", "keys", "real_percent"),
    [
        (1001, 1335, 99.9),
        (1025, 2388, 57.1),
        (4001, 2378, 98.0),
        (4097, 2641, 90.3),
        (10001, 3547, 87.6),
        (32001, 5247, 95.8),
        (32769, 7328, 69.6),
        (70122, 6828, 84.4),
    ],
)
def test_flops_are_those_of_the_real_pairs_alone(length, keys, real_percent):
    """The published algorithm computes so many keys a query, of which so many are real."""
    variant = ATTENTIONS.build({"type": "DilatedAttention"})
    computed = variant.flops(length, 16, 48) / (4 * 16 * 48 * length)
    # at most one row of zeros a segment is computed beside them
    assert computed == pytest.approx(keys * real_percent / 100, rel=2e-3)


@pytest.mark.parametrize(
    ("length", "acting"), [(50, 1), (1024, 1), (1025, 2), (5792, 2), (40_000, 4), (2_000_000, 5)]
)
def test_acting_branches_of_the_published_segments(length, acting):
    variant = ATTENTIONS.build({"type": "DilatedAttention"})
    assert variant.acting_branches(length) == acting
    assert ("plus duplicates" in variant.describe(length)) == (acting == 1)


def test_no_tokens_cost_nothing():
    variant = ATTENTIONS.build({"type": "DilatedAttention"})
    assert variant.flops(0, 16, 48) == variant.acting_branches(0) == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_merges_by_float32_weights(dtype):
    exact = TestDilatedAttention().inputs(61)
    half = [x.to(dtype) for x in exact]
    for backend in ("math", "flash"):
        variant = TestDilatedAttention().build(backend=backend)
        assert {lse.dtype for _, lse in variant.branch_outputs(*half)} == {torch.float32}
        assert (variant(*half).double() - variant(*exact)).abs().max() < 0.02


def test_a_sequence_within_the_first_segment_is_full_attention_and_duplicates():
    q, k, v = TestDilatedAttention().inputs(6)
    one = ATTENTIONS.build(
        {"type": "DilatedAttention", "segment_lengths": [8], "dilation_ratios": [1]}
    )
    full = ATTENTIONS.build({"type": "FullAttention"})
    assert (one(q, k, v) - full(q, k, v)).abs().max() < 1e-12


@pytest.mark.parametrize(("segments", "ratios"), [([8, 16], [1]), ([], []), ([0], [1]), ([8], [0])])
def test_unusable_branches_are_refused(segments, ratios):
    with pytest.raises(ConfigError, match="DilatedAttention"):
        ATTENTIONS.build(
            {"type": "DilatedAttention", "segment_lengths": segments, "dilation_ratios": ratios}
        )


def test_padding_on_the_left_is_refused():
    q, k, v = TestDilatedAttention().inputs(6)
    padding = torch.tensor([[True] + [False] * 5] * 2)
    with pytest.raises(ConfigError, match="on the right"):
        ATTENTIONS.build({"type": "DilatedAttention"})(q, k, v, key_padding_mask=padding)
