"""The curve of a setting over the steps of a run, as DINO, iBOT and DINOv2 draw it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gigakit.core.errors import ConfigError


@dataclass(frozen=True)
class Curve:
    """Zero while frozen, a straight line, half a cosine, and then the final value.

    Formula, with t the step from 0, F frozen steps, W of warm-up and T all steps::

        t < F              0
        t < F + W          start + (base - start) (t - F) / (W - 1)
        t < T              final + (base - final) (1 + cos(π (t - F - W) / (T - F - W))) / 2
        t >= T             final

    The warm-up includes its end, so the step after it has the base value once more. With
    ``final`` equal to ``base`` the value stays constant after the warm-up, as in DINOv3.

    Args:
        base: the value after the warm-up.
        final: the value at the end.
        total_steps: T.
        warmup_steps: W.
        warmup_start: the value of the first step of the warm-up.
        frozen_steps: F.

    Source: DINOv2, ``CosineScheduler``; DINO (Caron et al. 2021), ``cosine_scheduler``.
    """

    base: float
    final: float
    total_steps: int
    warmup_steps: int = 0
    warmup_start: float = 0.0
    frozen_steps: int = 0

    def __call__(self, step: int) -> float:
        """Return the value of a step, from 0."""
        warm = step - self.frozen_steps
        turned = warm - self.warmup_steps
        if step >= self.total_steps:
            return self.final
        if warm < 0:
            return 0.0
        if turned < 0:
            share = warm / (self.warmup_steps - 1) if self.warmup_steps > 1 else 0.0
            return self.warmup_start + (self.base - self.warmup_start) * share
        left = self.total_steps - self.frozen_steps - self.warmup_steps
        return self.final + 0.5 * (self.base - self.final) * (1 + math.cos(math.pi * turned / left))


def epochs_to_steps(epochs: float, steps_per_epoch: int, where: str) -> int:
    """Return the optimiser steps of some epochs.

    Raises:
        ConfigError: a negative number of epochs.
    """
    if epochs < 0:
        raise ConfigError(f"got {epochs}", where=where, fix="give 0 or more")
    return round(epochs * steps_per_epoch)
