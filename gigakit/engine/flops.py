"""Floating-point operations of real steps, counted as they run."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.flop_counter import (
    FlopCounterMode,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

_EVERY = 1024


def flop_counter() -> FlopCounterMode:
    """Return a context that counts the matmuls run in it, 2 FLOPs per multiply-add.

    Forward, backward and what the backward pass computes again are counted, on any device; what is
    computed does not change. The total is its ``get_total_flops()``.

    Formula: attention over N queries, M keys and H heads of D costs ``4 N M H D`` forward; backward
    2 times that where scores are kept (full attention by the ``math`` backend) and 2.5 times where
    they are computed again (flash kernels; dilated attention by any backend). Element-wise
    operations are not counted.

    Differs: torch 2.13 has no formula for its own flash kernel on the CPU, and counts nothing.
    """
    aten = torch.ops.aten
    return FlopCounterMode(
        display=False,
        custom_mapping={
            aten._scaled_dot_product_flash_attention_for_cpu: _forward,
            aten._scaled_dot_product_flash_attention_for_cpu_backward: _backward,
        },
    )


def is_counted(step: int) -> bool:
    """Tell whether to count a process's step, from 1: the powers of two, then every 1024th.

    Counting doubles the time of a small step, so a thousandth is added at most in the long run.
    """
    return step & (step - 1) == 0 if step < _EVERY else step % _EVERY == 0


def _forward(q: torch.Size, k: torch.Size, v: torch.Size, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(q, k, v))  # type: ignore[no-untyped-call]  # torch's, untyped


def _backward(
    grad: torch.Size, q: torch.Size, k: torch.Size, v: torch.Size, *_: Any, **__: Any
) -> int:
    return int(sdpa_backward_flop_count(grad, q, k, v))  # type: ignore[no-untyped-call]
