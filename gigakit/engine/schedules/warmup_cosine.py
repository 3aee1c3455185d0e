"""Linear warm-up, then half a cosine."""

from __future__ import annotations

import math
from typing import Any

from gigakit.core.errors import ConfigError
from gigakit.engine.schedules.plan import PlannedSchedule
from gigakit.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class WarmupCosine(PlannedSchedule):
    """Set the learning rate of each optimiser step.

    With t the step from 0, T all steps and W those of the warm-up::

        t < W    lr_0 × t / W
        t >= W   final_lr + (lr_0 - final_lr) × (1 + cos(π (t - W) / (T - W))) / 2

    Where each epoch leaves part of a step over, that part counts in t, T and W when it is over.

    ``lr_0`` is each group's own, so a group with a scaled rate keeps its scale; ``final_lr`` is
    scaled alike.

    Args:
        optimizer: the optimiser or its wrapper; handed in by the runner.
        warmup_epochs: epochs of warm-up; W = warmup_epochs × steps_per_epoch, at most T.
        final_lr: the rate the curve runs towards, for a group whose rate is the highest.
        total_steps: T; ``None`` in a recipe takes the loop's.
        steps_per_epoch: ``None`` in a recipe takes the loop's.
        leftover_steps: part of a step that each epoch leaves over; ``None`` in a recipe takes the
            loop's, which has one where leftovers are carried.

    Raises:
        ConfigError: a negative value, or no total.

    Source: MAE (He et al. 2022), ``util/lr_sched.py``.
    Differs: MAE adds the fraction of an epoch; a step is the unit here, which is the same curve.
    """

    def __init__(
        self,
        optimizer: Any,
        *,
        warmup_epochs: float = 1.0,
        final_lr: float = 0.0,
        total_steps: int | None = None,
        steps_per_epoch: int | None = None,
        leftover_steps: float | None = None,
    ) -> None:
        for name, value in (("warmup_epochs", warmup_epochs), ("final_lr", final_lr)):
            if value < 0:
                raise ConfigError(
                    f"got {value}", where=f"param_scheduler.{name}", fix="give 0 or more"
                )
        if not total_steps or not steps_per_epoch:
            raise ConfigError("the number of steps is unknown", where="param_scheduler.total_steps")
        self.leftover, self.steps_per_epoch = leftover_steps or 0.0, steps_per_epoch
        self.total_steps, self.final_lr = self._place(total_steps), final_lr
        warmup = round(warmup_epochs * steps_per_epoch) + warmup_epochs * self.leftover
        self.warmup_steps = min(warmup, self.total_steps)
        super().__init__(optimizer, "lr", by_epoch=False)

    def _get_value(self) -> list[float]:
        top = max(self.base_values) or 1.0
        return [self._rate(base, self.final_lr * base / top) for base in self.base_values]

    def _rate(self, base: float, final: float) -> float:
        step = self._place(self.last_step)
        if step < self.warmup_steps:
            return base * step / self.warmup_steps
        progress = (step - self.warmup_steps) / max(self.total_steps - self.warmup_steps, 1)
        return final + (base - final) * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))

    def _place(self, step: int) -> float:
        """Return t of a step."""
        return step + (step // self.steps_per_epoch) * self.leftover
