"""Numbers precise enough for losses."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(value: Tensor) -> Tensor:
    """Return a tensor in float32, or in float64 if that is what it has."""
    return value.to(torch.promote_types(value.dtype, torch.float32))
