"""What a run's forward pass computes in."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.device import get_device


def compute_dtype(optim_wrapper: Any) -> torch.dtype:
    """Return what the matmuls of a run's forward pass compute in."""
    bf16 = getattr(optim_wrapper, "precision", "fp32") == "bf16"
    return torch.bfloat16 if bf16 else torch.float32


def as_in_steps(runner: Any) -> torch.autocast:
    """Return a context in which hooks compute in the precision of the run's steps."""
    bf16 = compute_dtype(runner.optim_wrapper) == torch.bfloat16
    return torch.autocast(get_device(), dtype=torch.bfloat16, enabled=bf16)
