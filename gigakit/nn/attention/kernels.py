"""Softmax attention with its log-sum-exp, forward and backward, for variants that merge several.

A variant that merges attentions writes its own backward, so it needs both halves as functions of
plain tensors. The backward takes whatever output and log-sum-exp the forward's were turned into:
with ``P = exp(scores - lse)`` and ``delta = rowsum(grad * out)`` it returns ``P^T grad`` for the
values and ``P (grad v^T - delta)`` for the scores. With the log-sum-exp over more keys than those
handed in, and the output scaled likewise, that is the gradient of the larger softmax.

Shapes: N sequences, L tokens, H heads, D head dimension; tensors are ``(N, L, H, D)`` and the
log-sum-exp ``(N, L, H)``, natural logarithm, in at least float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

# scores held at once by the plain formula: 256 MiB in float32
_SCORES_AT_ONCE = 2**26


class Attended(NamedTuple):
    """What a forward returns; ``aux`` is the kernel's own, for its backward."""

    out: Tensor
    lse: Tensor
    aux: tuple[Any, ...] = ()


class Kernel(Protocol):
    """Forward and backward of one softmax attention."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Attended:
        """Attend queries ``(N, L, H, D)`` to keys and values ``(N, M, H, D)``."""
        ...

    def backward(
        self, grad: Tensor, q: Tensor, k: Tensor, v: Tensor, attended: Attended
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of queries, keys and values."""
        ...


class MathKernel:
    """The plain formula, in blocks of queries: the oracle, and the last resort."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Attended:
        """Attend; see :class:`Kernel`."""
        outs, lses = [], []
        for rows in torch.split(q, _rows_at_once(q, k), dim=1):
            scores = _heads(rows) @ _heads(k).mT * q.shape[-1] ** -0.5
            lses.append(scores.to(_precise(q)).logsumexp(dim=-1).transpose(1, 2))
            outs.append((scores.softmax(dim=-1) @ _heads(v)).transpose(1, 2))
        return Attended(torch.cat(outs, dim=1), torch.cat(lses, dim=1))

    def backward(
        self, grad: Tensor, q: Tensor, k: Tensor, v: Tensor, attended: Attended
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Differentiate; see :class:`Kernel`."""
        scale, block = q.shape[-1] ** -0.5, _rows_at_once(q, k)
        delta = (grad.to(_precise(q)) * attended.out).sum(dim=-1)
        dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for start in range(0, q.shape[1], block):
            rows = slice(start, start + block)
            scores = (_heads(q[:, rows]) @ _heads(k).mT).to(_precise(q)) * scale
            weights = (scores - attended.lse[:, rows].transpose(1, 2).unsqueeze(-1)).exp()
            dv += (weights.to(q.dtype).mT @ _heads(grad[:, rows])).transpose(1, 2)
            reach = _heads(grad[:, rows]) @ _heads(v).mT
            weights *= (reach - delta[:, rows].transpose(1, 2).unsqueeze(-1)) * scale
            dq[:, rows] = (weights.to(q.dtype) @ _heads(k)).transpose(1, 2)
            dk += (weights.to(q.dtype).mT @ _heads(q[:, rows])).transpose(1, 2)
        return dq, dk, dv


class CpuFlashKernel:
    """torch's flash attention for CPUs; private, stable since torch 2.2, held to math in tests."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Attended:
        """Attend; see :class:`Kernel`."""
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
        out, lse = kernel(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        return Attended(out.transpose(1, 2), lse.transpose(1, 2))

    def backward(
        self, grad: Tensor, q: Tensor, k: Tensor, v: Tensor, attended: Attended
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Differentiate; see :class:`Kernel`."""
        kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
        tensors = (grad, q, k, v, attended.out.to(q.dtype), attended.lse)
        dq, dk, dv = kernel(*(x.transpose(1, 2) for x in tensors), 0.0, False)
        return dq.transpose(1, 2), dk.transpose(1, 2), dv.transpose(1, 2)


class CudaFlashKernel:
    """torch's flash attention for CUDA, half precision; fills head dimensions up to 8.

    Args:
        forward_op: the operator, or a stand-in where there is no such device.
        backward_op: the same of the backward.
    """

    def __init__(
        self,
        forward_op: Callable[..., Any] = torch.ops.aten._scaled_dot_product_flash_attention,
        backward_op: Callable[
            ..., Any
        ] = torch.ops.aten._scaled_dot_product_flash_attention_backward,
    ) -> None:
        self.forward_op = forward_op
        self.backward_op = backward_op

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Attended:
        """Attend; see :class:`Kernel`."""
        dim = q.shape[-1]
        out, lse, *aux = self.forward_op(*(_filled(x) for x in (q, k, v)), scale=dim**-0.5)
        return Attended(out[..., :dim].transpose(1, 2), lse.transpose(1, 2), tuple(aux))

    def backward(
        self, grad: Tensor, q: Tensor, k: Tensor, v: Tensor, attended: Attended
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Differentiate; see :class:`Kernel`."""
        dim = q.shape[-1]
        cum_q, cum_k, max_q, max_k, seed, offset = attended.aux[:6]
        dq, dk, dv = self.backward_op(
            *(_filled(x) for x in (grad, q, k, v, attended.out.to(q.dtype))),
            attended.lse.transpose(1, 2).contiguous(),
            *(cum_q, cum_k, max_q, max_k, 0.0, False, seed, offset),
            scale=dim**-0.5,
        )
        dq, dk, dv = (x[..., :dim].transpose(1, 2) for x in (dq, dk, dv))
        return dq, dk, dv


def kernel_of(backend: str, device_type: str) -> Kernel:
    """Return the kernel of a resolved backend that returns the log-sum-exp."""
    if backend == "math":
        return MathKernel()
    return CpuFlashKernel() if device_type == "cpu" else CudaFlashKernel()


def _filled(x: Tensor) -> Tensor:
    return functional.pad(x, (0, -x.shape[-1] % 8)).transpose(1, 2)


def _heads(x: Tensor) -> Tensor:
    return x.transpose(1, 2)


def _precise(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _rows_at_once(q: Tensor, k: Tensor) -> int:
    return max(1, _SCORES_AT_ONCE // max(1, len(q) * k.shape[1] * q.shape[2]))
