"""Warm-up and half a cosine for a setting of the optimiser, with DINOv2's conventions."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from gigakit.core.errors import ConfigError
from gigakit.engine.optim_wrappers.guarded_optim_wrapper import NO_GRADIENT
from gigakit.engine.schedules.curve import Curve, epochs_to_steps
from gigakit.engine.schedules.plan import PlannedSchedule
from gigakit.registry import PARAM_SCHEDULERS

Key = Literal["lr", "weight_decay"]
# a group's own factor, where its constructor has noted it
_FACTORS = {"lr": "lr_mult", "weight_decay": "wd_mult"}


@PARAM_SCHEDULERS.register_module()
class CosineSchedule(PlannedSchedule):
    """Set the learning rate or the weight decay of each optimiser step.

    The value is :class:`~gigakit.engine.schedules.curve.Curve`'s, times each group's own factor:
    groups that do not decay stay at 0, layers keep their share of the rate.

    Args:
        optimizer: the optimiser or its wrapper; handed in by the runner.
        key: ``lr`` or ``weight_decay``.
        final: the value at the end; DINOv2's 1e-6 for lr, 0.4 for weight decay.
        warmup_epochs: epochs of warm-up.
        warmup_start: where the warm-up starts.
        last_layer_frozen_epochs: epochs in which groups marked ``is_last_layer`` have rate 0;
            DINOv2 takes 1.
        last_layer_frozen_by: ``rate``: rate 0, while the optimiser's moments go on (DINOv2);
            ``gradient``: without a gradient, moments stay too (DINO and iBOT), which
            :class:`~gigakit.engine.optim_wrappers.guarded_optim_wrapper.GuardedOptimWrapper` does.
        epochs: length of the schedule; ``None`` is the run's. A longer one is cut off by the run's
            end, after a shorter one the final value holds.
        total_steps: ``None`` in a recipe takes the loop's.
        steps_per_epoch: ``None`` in a recipe takes the loop's.

    Raises:
        ConfigError: an unknown key, a negative value, or an unknown number of steps.

    Source: DINOv2, ``build_schedulers`` and ``apply_optim_scheduler``.
    Differs: mmengine's CosineAnnealingParamScheduler also raises groups that do not decay.
    """

    def __init__(
        self,
        optimizer: Any,
        *,
        key: Key = "lr",
        final: float = 1e-6,
        warmup_epochs: float = 0.0,
        warmup_start: float = 0.0,
        last_layer_frozen_epochs: float = 0.0,
        last_layer_frozen_by: Literal["rate", "gradient"] = "rate",
        epochs: float | None = None,
        total_steps: int | None = None,
        steps_per_epoch: int | None = None,
    ) -> None:
        if key not in ("lr", "weight_decay"):
            raise ConfigError(
                f"got '{key}'", where="param_scheduler.key", fix="give lr or weight_decay"
            )
        if last_layer_frozen_by not in ("rate", "gradient"):
            raise ConfigError(
                f"got '{last_layer_frozen_by}'",
                where="param_scheduler.last_layer_frozen_by",
                fix="give rate or gradient",
            )
        for name, value in (("final", final), ("warmup_start", warmup_start)):
            if value < 0:
                raise ConfigError(
                    f"got {value}", where=f"param_scheduler.{name}", fix="give 0 or more"
                )
        if not total_steps or not steps_per_epoch:
            raise ConfigError("the number of steps is unknown", where="param_scheduler.total_steps")
        self._curve = Curve(
            base=0.0,
            final=final,
            total_steps=total_steps
            if epochs is None
            else _steps(epochs, steps_per_epoch, "epochs"),
            warmup_steps=_steps(warmup_epochs, steps_per_epoch, "warmup_epochs"),
            warmup_start=warmup_start,
        )
        self._frozen_by = last_layer_frozen_by
        self._frozen = _steps(last_layer_frozen_epochs, steps_per_epoch, "last_layer_frozen_epochs")
        super().__init__(optimizer, key, by_epoch=False)

    def _get_value(self) -> list[float]:
        base = max(self.base_values)
        factors = [
            group.get(_FACTORS[self.param_name], own / base if base else 0.0)
            for group, own in zip(self.optimizer.param_groups, self.base_values, strict=True)
        ]
        # the group with the highest rate may itself have a part of it only
        base = base / max(factors) if base else 0.0
        value = dataclasses.replace(self._curve, base=base)(self.last_step)
        if self.param_name == "lr" and self._frozen_by == "gradient":
            for group in self.optimizer.param_groups:
                group[NO_GRADIENT] = self._is_frozen(group)
        return [
            0.0 if self._is_frozen(group) and self._frozen_by == "rate" else value * factor
            for group, factor in zip(self.optimizer.param_groups, factors, strict=True)
        ]

    def _is_frozen(self, group: dict[str, Any]) -> bool:
        is_last = self.param_name == "lr" and group.get("is_last_layer", False)
        return bool(is_last and self.last_step < self._frozen)


def _steps(epochs: float, steps_per_epoch: int, name: str) -> int:
    return epochs_to_steps(epochs, steps_per_epoch, f"param_scheduler.{name}")
