"""Dilated attention against its text and against arrays of the published code."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from contracts.attention import AttentionContract

from gigakit.core.errors import ConfigError
from gigakit.registry import ATTENTIONS


class TestDilatedAttention(AttentionContract):
    config = {
        "type": "DilatedAttention",
        "segment_lengths": [8, 24, 64],
        "dilation_ratios": [1, 2, 4],
    }
    needs_lse = True

    def naive(self, q, k, v):
        """Branch by branch, segment by segment, head by head, with explicit zero vectors."""
        B, T, H, D = q.shape
        outs, lses = [], []
        for w, r in zip(
            self.config["segment_lengths"], self.config["dilation_ratios"], strict=True
        ):
            out = torch.zeros(B, T, H, D, dtype=q.dtype)
            lse = torch.full((B, T, H), -1e8, dtype=q.dtype)
            s = min(w, T)
            padded = int(np.ceil(s / r)) * r
            for i in range(int(np.ceil(T / s))):
                for h in range(H):
                    local = range(h // int(np.ceil(H / r)), padded, r)
                    rows = [
                        [
                            x[:, i * s + u, h] if u < s and i * s + u < T else torch.zeros(B, D)
                            for u in local
                        ]
                        for x in (q, k, v)
                    ]
                    qs, ks, vs = (torch.stack(row, dim=1).to(q.dtype) for row in rows)
                    scores = qs @ ks.transpose(1, 2) / D**0.5
                    for j, u in enumerate(local):
                        place = i * padded + u
                        if place < T:
                            out[:, place, h] = (scores.softmax(-1) @ vs)[:, j]
                            lse[:, place, h] = scores.logsumexp(-1)[:, j]
            outs.append(out)
            lses.append(lse)
        weights = torch.stack(lses).softmax(0)
        return sum(o * w.unsqueeze(-1) for o, w in zip(outs, weights, strict=True))


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


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 2e-5)])
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
