"""Checkpoints at an interval and at the end."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook

from gigakit.core.errors import ConfigError
from gigakit.engine.checkpoint import remove_partial
from gigakit.registry import HOOKS


@HOOKS.register_module()
class SafeCheckpointHook(Hook):
    """Write a checkpoint every ``interval_steps`` and after the last step.

    A new one is whole, synced and verified before ``last_checkpoint`` names it and an old one goes.

    Args:
        interval_steps: optimiser steps between checkpoints; ``None`` writes the last one only.
        keep: how many of the newest stay.

    Raises:
        ConfigError: a count under 1.

    Differs: mmengine's CheckpointHook removes the old file before the new one is written.
    """

    priority = "VERY_LOW"

    def __init__(self, *, interval_steps: int | None = 500, keep: int = 2) -> None:
        for name, value in (("interval_steps", interval_steps), ("keep", keep)):
            if value is not None and value < 1:
                raise ConfigError(f"got {value}", where=f"SafeCheckpointHook.{name}")
        self.interval_steps, self.keep = interval_steps, keep
        self.saved_step: int | None = None

    def before_train(self, runner: Any) -> None:
        """Clear away what a killed process left half-written."""
        if runner.rank == 0:
            remove_partial(runner.work_path)
        # a run resumed at its last step has that checkpoint already
        self.saved_step = runner.iter or None

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Write a checkpoint if this step is due."""
        step = batch_idx + 1
        due = self.interval_steps is not None and step % self.interval_steps == 0
        if due or step == runner.max_iters:
            self.save(runner, step)

    def after_train(self, runner: Any) -> None:
        """Write the last checkpoint of a run that was ended before its last step."""
        if runner.iter:
            self.save(runner, runner.iter)

    def save(self, runner: Any, step: int) -> None:
        """Write the checkpoint of a step unless it is there."""
        if self.saved_step != step:
            runner.save_training_state(step, keep=self.keep)
            self.saved_step = step
