"""Rows that fill a batch up to a length that is always the same, and count for nothing."""

from __future__ import annotations

import torch
from torch import Tensor


def is_counted(rows: Tensor, count: Tensor) -> Tensor:
    """Return ``(M, 1)`` bool, True for the first ``count`` of M rows; nothing waits for a device.

    Args:
        rows: ``(M, ...)``.
        count: of no dimension.
    """
    return (torch.arange(len(rows), device=rows.device) < count).unsqueeze(1)


def zero_after(rows: Tensor, count: Tensor) -> Tensor:
    """Return rows ``(M, K)`` with all after the first ``count`` at zero, whatever they hold."""
    return torch.where(is_counted(rows, count), rows, 0.0)
