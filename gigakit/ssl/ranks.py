"""What the processes of a run have together; a process's own where there is one."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_gather


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


def gathered(value: Tensor) -> tuple[Tensor, int]:
    """Return the tensors of all processes one after another, and which of them is this one's.

    Gradients go back to the process that a tensor is from, added up over all processes.

    Args:
        value: ``(n, ...)``, of the same shape in all processes.

    Returns:
        ``(processes, n, ...)`` and this process's number.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return value[None], 0
    parts: tuple[Tensor, ...] = all_gather(value.contiguous())  # type: ignore[no-untyped-call]
    return torch.stack(parts), dist.get_rank()
