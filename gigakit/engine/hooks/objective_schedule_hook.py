"""Schedules of what belongs to the objective, not to the optimiser."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook

from gigakit.core.errors import ConfigError
from gigakit.engine.hooks.scalars_hook import SETTINGS
from gigakit.engine.schedules.curve import Curve, epochs_to_steps
from gigakit.registry import HOOKS


@HOOKS.register_module()
class ObjectiveScheduleHook(Hook):
    """Set a number of the objective before each optimiser step, such as a teacher's momentum.

    The value is :class:`~gigakit.engine.schedules.curve.Curve`'s and depends on the step alone, so
    a resumed run goes on with it exactly. It is logged as ``train/<key>``.

    Args:
        key: the objective's attribute, with dots for attributes of its parts. It holds a number, or
            ``None`` where it takes another's place only when it is set.
        base: the value after the warm-up.
        final: the value at the end; ``None`` keeps the base value.
        warmup_epochs: epochs of warm-up.
        warmup_start: where the warm-up starts; ``None`` at the base value.
        epochs: length of the schedule; ``None`` is the run's. After it the final value holds.

    Raises:
        ConfigError: the objective has no such number, or a negative number of epochs.

    Source: DINOv2: momentum 0.992 to 1 over the run; teacher temperature 0.04 to 0.07 in 30 epochs,
        then constant.
    """

    priority = "ABOVE_NORMAL"

    def __init__(
        self,
        *,
        key: str,
        base: float,
        final: float | None = None,
        warmup_epochs: float = 0.0,
        warmup_start: float | None = None,
        epochs: float | None = None,
    ) -> None:
        self.key, self.base, self.epochs = key, base, epochs
        self.final = base if final is None else final
        self.warmup_epochs = warmup_epochs
        self.warmup_start = base if warmup_start is None else warmup_start
        self._curve: Curve | None = None

    def before_train(self, runner: Any) -> None:
        """Draw the curve for the steps of this run, and find what it sets."""
        loop = runner.train_loop
        where = f"ObjectiveScheduleHook.{self.key}"
        owner, name = self._owner(runner)
        if not _is_number(owner, name):
            raise ConfigError(
                f"{runner.model_name} has no number '{self.key}'",
                where="ObjectiveScheduleHook.key",
                fix="name an attribute of the objective that holds a number",
            )
        settings = set(runner.message_hub.runtime_info.get(SETTINGS, ())) | {f"train/{self.key}"}
        runner.message_hub.update_info(SETTINGS, sorted(settings))
        per_epoch = loop.steps_per_epoch
        total = loop.max_iters
        if self.epochs is not None:
            total = epochs_to_steps(self.epochs, per_epoch, f"{where}.epochs")
        warmup = epochs_to_steps(self.warmup_epochs, per_epoch, f"{where}.warmup_epochs")
        self._curve = Curve(self.base, self.final, total, warmup, self.warmup_start)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Set the value of the step."""
        if self._curve is None:
            return
        value = self._curve(batch_idx)
        owner, name = self._owner(runner)
        setattr(owner, name, value)
        runner.message_hub.update_scalar(f"train/{self.key}", value)

    def _owner(self, runner: Any) -> tuple[Any, str]:
        owner = runner.objective
        *path, name = self.key.split(".")
        for part in path:
            owner = getattr(owner, part, None)
        return owner, name


def _is_number(owner: Any, name: str) -> bool:
    """Tell whether an attribute holds a number, or nothing yet."""
    number = getattr(owner, name, None)
    if number is None:
        # what a module registers as absent, such as a head, is no number
        return name in getattr(owner, "__dict__", {})
    return isinstance(number, int | float) and not isinstance(number, bool)
