"""Sums and maxima over the processes of a run; the values themselves where there is one."""

from __future__ import annotations

import torch.distributed as dist
from torch import Tensor


def summed(value: Tensor) -> Tensor:
    """Add a tensor up over all processes, in place."""
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(value)
    return value


def largest(value: Tensor) -> Tensor:
    """Take the elementwise maximum over all processes, in place."""
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(value, dist.ReduceOp.MAX)
    return value
