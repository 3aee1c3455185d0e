"""Faster float32 matrix products on CPUs."""

from __future__ import annotations

import logging
from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor

from gigakit.registry import HOOKS

LOGGER = logging.getLogger(__name__)

_SIDE = 256
# of the largest entry; float32 comes to about 1e-6, bfloat16 to about 1e-2
_FLOAT32_ERROR = 2e-5


@HOOKS.register_module()
class FastMatmulHook(Hook):
    """Let torch choose its faster float32 kernels for the run (oneDNN's instead of MKL's).

    On many AVX-512 CPUs these are up to twice as fast and as precise. Some CPUs (with AMX) would
    compute in bfloat16 instead: a small product is compared with float64 first, and where its error
    is not float32's the kernels stay as they are, which is said in the log. On CUDA nothing is
    changed: there the same switch means TF32.

    Source: ``torch.set_float32_matmul_precision("medium")``.
    """

    priority = "VERY_HIGH"

    def __init__(self) -> None:
        self._before: str | None = None

    def before_run(self, runner: Any) -> None:
        """Switch, before anything is measured."""
        if next(runner.model.parameters()).device.type != "cpu":
            return
        self._before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("medium")
        error = relative_error()
        if error > _FLOAT32_ERROR:
            self.after_run(runner)
            LOGGER.info(
                "float32 products stay as they are: the faster ones err by %.1e here", error
            )

    def after_run(self, runner: Any) -> None:
        """Switch back."""
        if self._before is not None:
            torch.set_float32_matmul_precision(self._before)
            self._before = None

    def close(self) -> None:
        """Switch back, whatever ended the run."""
        self.after_run(None)


def relative_error() -> float:
    """Return the largest error of a float32 product here, as a part of its largest entry."""
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(_SIDE, _SIDE, generator=generator) for _ in range(2))
    exact: Tensor = one.double() @ other.double()
    return float(((one @ other).double() - exact).abs().max() / exact.abs().max())
