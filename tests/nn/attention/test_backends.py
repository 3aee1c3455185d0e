"""Attention backends: choice, refusal and equality."""

from __future__ import annotations

import logging

import pytest
import torch

from gigakit.core.errors import BackendUnavailableError
from gigakit.nn.attention import backends
from gigakit.nn.attention.backends import (
    SHORT,
    attend,
    availability,
    explain_backend,
    resolve_backend,
)

CPU = torch.device("cpu")


@pytest.fixture
def qkv():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 9, 3, 8, generator=generator, dtype=torch.float64) for _ in range(3)]


def test_flash_gives_the_output_lse_and_gradients_of_math(qkv):
    results = {}
    for name in ("math", "flash"):
        tensors = [x.clone().requires_grad_() for x in qkv]
        out, lse = attend(*tensors, backend=name, need_lse=True)
        out.sin().sum().backward()
        assert not lse.requires_grad
        results[name] = [out, lse, *(x.grad for x in tensors)]
    for a, b in zip(results["math"], results["flash"], strict=True):
        assert (a - b).abs().max() < 1e-12


@pytest.mark.parametrize("name", ["math", "sdpa", "flash"])
def test_padding_is_not_attended_to(qkv, name):
    padding = torch.zeros(2, 9, dtype=torch.bool)
    padding[1, 6:] = True
    out = attend(*qkv, backend=name, key_padding_mask=padding)
    alone = attend(*(x[1:, :6] for x in qkv), backend="math")
    assert (out[1:, :6] - alone).abs().max() < 1e-12
    assert out[1, 6:].abs().sum() == 0


@pytest.mark.parametrize("name", ["math", "sdpa", "flash"])
@pytest.mark.parametrize("length", [0, 4])
def test_slides_without_tokens_give_zeros_and_finite_gradients(name, length):
    tensors = [torch.randn(2, length, 3, 8, requires_grad=True) for _ in range(3)]
    padding = torch.tensor([[False] * length, [True] * length], dtype=torch.bool)
    out = attend(*tensors, backend=name, key_padding_mask=padding)
    out.sum().backward()
    assert out.shape == (2, length, 3, 8)
    assert out[1].abs().sum() == 0
    assert all(x.grad.isfinite().all() for x in tensors)


@pytest.mark.parametrize("name", ["math", "flash"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_lse_is_at_least_float32_and_zero_at_padding(qkv, name, dtype):
    padding = torch.zeros(2, 9, dtype=torch.bool)
    padding[1, 6:] = True
    half = [x.to(dtype) for x in qkv]
    _, lse = attend(*half, backend=name, key_padding_mask=padding, need_lse=True)
    assert lse.dtype == torch.promote_types(dtype, torch.float32)
    assert lse[1, 6:].abs().sum() == 0
    _, alone = attend(*(x[1:, :6] for x in qkv), backend="math", need_lse=True)
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5}.get(dtype, 0.02)
    assert (lse[1:, :6] - alone).abs().max() < tolerance


def test_bfloat16_stays_near_float64(qkv):
    exact = attend(*qkv, backend="math")
    half = attend(*(x.bfloat16() for x in qkv), backend="flash")
    assert half.dtype == torch.bfloat16
    assert (half.double() - exact).abs().max() < 0.03


def test_auto_is_logged_once_with_its_reason(caplog):
    backends._automatic.cache_clear()
    with caplog.at_level(logging.INFO, logger="gigakit.nn.attention.backends"):
        first = resolve_backend("auto", CPU, torch.float32, need_lse=True)
        second = resolve_backend("auto", CPU, torch.float32, need_lse=True)
    assert first == second == "flash"
    assert caplog.text.count("attention backend on cpu") == 1


def test_an_unknown_backend_is_refused_with_the_known_ones():
    with pytest.raises(BackendUnavailableError, match="choose from auto, math, sdpa, flash"):
        resolve_backend("xla", CPU, torch.float32)


def test_a_named_backend_never_falls_back(qkv):
    with pytest.raises(BackendUnavailableError, match="returns no log-sum-exp"):
        attend(*qkv, backend="sdpa", need_lse=True)
    reason = availability("flash", torch.device("mps"), torch.float32)
    assert reason == "torch has no flash kernel for mps"
    assert "float16 or bfloat16" in availability("flash", torch.device("cuda"), torch.float32)


def test_short_sequences_take_math_where_its_products_are_onednns():
    def chosen(dtype, tokens, **more):
        return resolve_backend("auto", CPU, dtype, tokens=tokens, **more)

    assert chosen(torch.float32, SHORT) == "flash"
    assert chosen(torch.bfloat16, SHORT) == "math"
    assert chosen(torch.bfloat16, SHORT + 1) == "flash"
    assert chosen(torch.bfloat16, SHORT, need_lse=True) == "flash"
    assert resolve_backend("flash", CPU, torch.bfloat16, tokens=SHORT) == "flash"
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert chosen(torch.float32, SHORT) == "math"
        assert explain_backend("auto", CPU, torch.float32).endswith(f"; math up to {SHORT} tokens)")
    finally:
        torch.set_float32_matmul_precision(before)
    assert "math" not in explain_backend("auto", CPU, torch.float32)
