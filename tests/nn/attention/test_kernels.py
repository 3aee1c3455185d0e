"""Kernels against the plain formula and its automatic gradient."""

from __future__ import annotations

import pytest
import torch

from gigakit.nn.attention import kernels
from gigakit.nn.attention.kernels import Attended, CudaFlashKernel, kernel_of

ATEN = torch.ops.aten


def formula(q, k, v):
    scores = torch.einsum("nlhd,nmhd->nhlm", q, k) * q.shape[-1] ** -0.5
    return (
        torch.einsum("nhlm,nmhd->nlhd", scores.softmax(-1), v),
        scores.logsumexp(-1).transpose(1, 2),
    )


def tensors(queries=7, keys=11, dtype=torch.float64, dim=6):
    generator = torch.Generator().manual_seed(queries)
    shapes = [queries, keys, keys, queries]
    return [torch.randn(2, n, 3, dim, generator=generator, dtype=dtype) for n in shapes]


def cuda_on_the_cpu():
    """The CUDA kernel with the CPU's operators behind its operators' signatures."""

    def forward(*heads_first, scale):
        assert all(x.shape[-1] % 8 == 0 for x in heads_first)
        out, lse = ATEN._scaled_dot_product_flash_attention_for_cpu(*heads_first, scale=scale)
        return out, lse, None, None, 7, 11, torch.tensor(0), torch.tensor(1), None

    def backward(*arguments, scale):
        schema = ATEN._scaled_dot_product_flash_attention_backward.default._schema.arguments
        given = dict(zip([a.name for a in schema], arguments, strict=False)) | {"scale": scale}
        assert [a.name for a in schema if a.name not in given] == []
        assert (given["max_q"], given["max_k"], given["dropout_p"]) == (7, 11, 0.0)
        assert given["is_causal"] is False
        assert (given["philox_seed"], given["philox_offset"]) == (0, 1)
        assert given["logsumexp"].is_contiguous()
        names = ("grad_out", "query", "key", "value", "out", "logsumexp")
        return ATEN._scaled_dot_product_flash_attention_for_cpu_backward(
            *(given[name] for name in names), 0.0, False, scale=scale
        )

    return CudaFlashKernel(forward, backward)


KERNELS = {
    "math": lambda: kernel_of("math", "cpu"),
    "flash": lambda: kernel_of("flash", "cpu"),
    "cuda": cuda_on_the_cpu,
}


@pytest.mark.parametrize("name", KERNELS)
def test_forward_and_backward_are_the_formula_and_its_gradient(name):
    q, k, v, grad = tensors()
    kernel = KERNELS[name]()
    attended = kernel.forward(q, k, v)
    found = kernel.backward(grad, q, k, v, attended)
    inputs = [x.requires_grad_() for x in (q, k, v)]
    out, lse = formula(*inputs)
    assert (attended.out - out).abs().max() < 1e-12
    assert (attended.lse - lse).abs().max() < 1e-12
    for gradient, expected in zip(found, torch.autograd.grad(out, inputs, grad), strict=True):
        assert (gradient - expected).abs().max() < 1e-12


@pytest.mark.parametrize("name", KERNELS)
def test_a_backward_on_some_keys_of_a_larger_softmax_is_their_share(name):
    q, k, v, grad = tensors()
    inputs = [x.requires_grad_() for x in (q, k, v)]
    out, lse = formula(*inputs)
    expected = torch.autograd.grad(out, inputs, grad)
    kernel = KERNELS[name]()
    halves = []
    for keys in (slice(0, 4), slice(4, 11)):
        aux = kernel.forward(q, k[:, keys], v[:, keys]).aux
        whole = Attended(out.detach(), lse.detach(), aux)
        halves.append(kernel.backward(grad, q, k[:, keys], v[:, keys], whole))
    dq = halves[0][0] + halves[1][0]
    dk, dv = (torch.cat([halves[0][i], halves[1][i]], dim=1) for i in (1, 2))
    for gradient, wanted in zip((dq, dk, dv), expected, strict=True):
        assert (gradient - wanted).abs().max() < 1e-12


def test_blocks_of_queries_change_nothing_of_the_formula(monkeypatch):
    q, k, v, grad = tensors()
    kernel = kernel_of("math", "cpu")
    whole = kernel.forward(q, k, v)
    expected = kernel.backward(grad, q, k, v, whole)
    # two queries at once
    monkeypatch.setattr(kernels, "_SCORES_AT_ONCE", 2 * 2 * 11 * 3)
    blocks = kernel.forward(q, k, v)
    assert torch.equal(blocks.out, whole.out)
    assert torch.equal(blocks.lse, whole.lse)
    for gradient, wanted in zip(kernel.backward(grad, q, k, v, blocks), expected, strict=True):
        assert (gradient - wanted).abs().max() < 1e-14


@pytest.mark.parametrize("name", ["math", "flash"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_the_log_sum_exp_in_float32(name, dtype):
    q, k, v, grad = (x.to(dtype) for x in tensors())
    kernel = KERNELS[name]()
    attended = kernel.forward(q, k, v)
    assert attended.out.dtype == dtype
    assert attended.lse.dtype == torch.float32
    exact = [x.double().requires_grad_() for x in (q, k, v)]
    out, _ = formula(*exact)
    expected = torch.autograd.grad(out, exact, grad.double())
    for gradient, wanted in zip(kernel.backward(grad, q, k, v, attended), expected, strict=True):
        assert gradient.dtype == dtype
        assert (gradient - wanted).abs().max() < 0.03
