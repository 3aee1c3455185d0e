"""Attention backends: different ways to compute one softmax attention; results must not differ.

Shapes: B batch, L tokens, H heads, D head dimension. All tensors are ``(B, L, H, D)``.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Literal, overload

import torch
from torch import Tensor
from torch.nn import functional

from gigakit.core.errors import BackendUnavailableError
from gigakit.nn.attention.kernels import kernel_of

LOGGER = logging.getLogger(__name__)

BACKENDS = ("math", "sdpa", "flash")
# automatic choice, best first; math is the oracle and the last resort
_PREFERENCE = ("flash", "sdpa", "math")
# up to here whole score matrices are faster than torch's blocks, with oneDNN's products
SHORT = 512
_HALF = (torch.float16, torch.bfloat16)

Output = tuple[Tensor, Tensor | None]


@overload
def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    backend: str = ...,
    key_padding_mask: Tensor | None = ...,
    need_lse: Literal[False] = ...,
) -> Tensor: ...
@overload
def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    backend: str = ...,
    key_padding_mask: Tensor | None = ...,
    need_lse: Literal[True],
) -> tuple[Tensor, Tensor]: ...
def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    backend: str = "auto",
    key_padding_mask: Tensor | None = None,
    need_lse: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Compute ``softmax(q k^T / sqrt(D)) v`` with the backend named, or with the best one.

    Args:
        q: queries ``(B, L, H, D)``.
        k: keys ``(B, L, H, D)``.
        v: values ``(B, L, H, D)``.
        backend: one of :data:`BACKENDS`, or ``auto``, which is resolved once per device and dtype.
            A backend named never falls back.
        key_padding_mask: ``(B, L)`` bool, True = padding; such keys are not attended to, and the
            outputs of such queries are zero.
        need_lse: also return the natural logarithm of the softmax denominator, ``(B, L, H)``, in
            at least float32, zero at padding. It carries no gradient, whatever the backend.

    Returns:
        The output ``(B, L, H, D)``, or the output and the LSE.

    Raises:
        BackendUnavailableError: the backend named cannot run here.
    """
    name = resolve_backend(backend, q.device, q.dtype, need_lse=need_lse, tokens=k.shape[1])
    if name == "math":
        out, lse = _math(q, k, v, key_padding_mask, need_lse=need_lse)
    else:
        out, lse = _COMPUTE[name](q, k, v, key_padding_mask)
    if key_padding_mask is not None:
        out = out.masked_fill(key_padding_mask[:, :, None, None], 0.0)
    if not need_lse:
        return out
    if lse is None:
        raise BackendUnavailableError(
            f"the backend '{name}' returns no log-sum-exp", fix="choose auto, flash or math"
        )
    lse = lse.detach()
    if key_padding_mask is not None:
        lse = lse.masked_fill(key_padding_mask[:, :, None], 0.0)
    return out, lse


def resolve_backend(
    name: str,
    device: torch.device,
    dtype: torch.dtype,
    *,
    need_lse: bool = False,
    tokens: int | None = None,
) -> str:
    """Return the backend to use; ``auto`` is decided once per device and dtype, and logged.

    On CPUs with oneDNN's products (bfloat16, or float32 under ``FastMatmulHook``) sequences of up
    to :data:`SHORT` tokens are computed by ``math``: torch's flash kernel is 1.3 to 5.7 times
    slower there, see ``tools/bench/short_attention.py``.

    Args:
        name: one of :data:`BACKENDS`, or ``auto``.
        device: of the tensors.
        dtype: of the tensors.
        need_lse: the log-sum-exp is wanted.
        tokens: L; ``None`` for a long sequence.

    Raises:
        BackendUnavailableError: the backend named is unknown, or cannot run here.
    """
    if name == "auto":
        short = tokens is not None and tokens <= SHORT
        if short and _prefers_math(device, dtype, need_lse=need_lse):
            return "math"
        return _first_choice(device.type, dtype, need_lse)
    if name not in BACKENDS:
        raise BackendUnavailableError(
            f"unknown attention backend '{name}'", fix="choose from auto, " + ", ".join(BACKENDS)
        )
    reason = availability(name, device, dtype, need_lse=need_lse)
    if reason is not None:
        raise BackendUnavailableError(
            f"the attention backend '{name}' cannot run: {reason}", fix="name another, or auto"
        )
    return name


def explain_backend(
    name: str, device: torch.device, dtype: torch.dtype, *, need_lse: bool = False
) -> str:
    """Say which backend :func:`resolve_backend` returns, and why that one.

    Raises:
        BackendUnavailableError: as :func:`resolve_backend`.
    """
    resolved = resolve_backend(name, device, dtype, need_lse=need_lse)
    why = _automatic(device.type, dtype, need_lse)[1] if name == "auto" else "named by the recipe"
    if name == "auto" and _prefers_math(device, dtype, need_lse=need_lse):
        why += f"; math up to {SHORT} tokens"
    return f"{resolved} ({why})"


def availability(
    name: str, device: torch.device, dtype: torch.dtype, *, need_lse: bool = False
) -> str | None:
    """Return why a backend cannot run on a device with a dtype, or ``None`` if it can."""
    if name == "sdpa" and need_lse:
        return "torch's scaled_dot_product_attention returns no log-sum-exp"
    if name == "flash":
        if device.type not in ("cpu", "cuda"):
            return f"torch has no flash kernel for {device.type}"
        if device.type == "cuda" and dtype not in _HALF:
            return f"the CUDA flash kernel takes float16 or bfloat16, not {dtype}"
        if device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0):
            return "the CUDA flash kernel needs compute capability 8.0 or newer"
    return None


@functools.cache
def _automatic(device_type: str, dtype: torch.dtype, need_lse: bool) -> tuple[str, str]:
    device = torch.device(device_type)
    refused: list[str] = []
    for name in _PREFERENCE:
        reason = availability(name, device, dtype, need_lse=need_lse)
        if reason is None:
            why = "; ".join(refused) or f"the first choice on {device_type}"
            LOGGER.info("attention backend on %s, %s: %s (%s)", device_type, dtype, name, why)
            return name, why
        refused.append(f"{name} refused: {reason}")
    raise BackendUnavailableError("no attention backend runs here: " + "; ".join(refused))


def _first_choice(device_type: str, dtype: torch.dtype, need_lse: bool) -> str:
    return _automatic(device_type, dtype, need_lse)[0]


def _prefers_math(device: torch.device, dtype: torch.dtype, *, need_lse: bool) -> bool:
    """Tell whether short sequences are faster by whole score matrices: by oneDNN on a CPU."""
    if device.type != "cpu" or need_lse:
        return False
    if dtype == torch.float32:
        return _float32_by_onednn()
    return dtype in _HALF


def _float32_by_onednn() -> bool:
    return torch.get_float32_matmul_precision() == "medium"


def _math(
    q: Tensor, k: Tensor, v: Tensor, padding: Tensor | None, *, need_lse: bool = True
) -> Output:
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    if padding is not None:
        # finite, since a slide of padding alone would give NaN gradients
        scores = scores.masked_fill(padding[:, None, None, :], torch.finfo(scores.dtype).min)
    out = (scores.softmax(dim=-1).to(v.dtype) @ v).transpose(1, 2)
    if not need_lse:
        return out, None
    lse = scores.detach().to(_lse_dtype(q)).logsumexp(dim=-1)
    return out, lse.transpose(1, 2)


def _sdpa(q: Tensor, k: Tensor, v: Tensor, padding: Tensor | None) -> Output:
    mask = None if padding is None else ~padding[:, None, None, :]
    out = functional.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask
    )
    return out.transpose(1, 2), None


def _flash(q: Tensor, k: Tensor, v: Tensor, padding: Tensor | None) -> Output:
    if padding is None:
        return _flash_dense(q, k, v)
    # the kernel has no key mask: each slide runs at its own length
    out = torch.zeros_like(q)
    lse = _zero_lse(q)
    for row, keep in enumerate(~padding):
        part, part_lse = _flash_dense(*(x[row, keep][None] for x in (q, k, v)))
        out = out.index_put((torch.tensor(row, device=q.device), keep.nonzero()[:, 0]), part[0])
        lse[row, keep] = part_lse[0].detach().to(lse.dtype)
    return out, lse


def _flash_dense(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    if q.numel() == 0:
        # the CPU kernel divides by the length, which ends the process; the sum is as empty as its
        # terms and keeps their gradients
        return q + k + v, _zero_lse(q)
    attended = kernel_of("flash", q.device.type).forward(q, k, v)
    return attended.out, attended.lse


def _lse_dtype(q: Tensor) -> torch.dtype:
    return torch.promote_types(q.dtype, torch.float32)


def _zero_lse(q: Tensor) -> Tensor:
    return q.new_zeros(q.shape[:3], dtype=_lse_dtype(q))


# answers that hold for the whole run, in which a compiler need not look
DECIDED_ONCE: tuple[Callable[..., object], ...] = (_first_choice, _float32_by_onednn)

_COMPUTE: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor | None], Output]] = {
    "sdpa": _sdpa,
    "flash": _flash,
}
