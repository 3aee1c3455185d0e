"""Stopping on request: finish the step, write a checkpoint, exit."""

from __future__ import annotations

import signal
from typing import Any

from mmengine.hooks import Hook

from gigakit.core.errors import InterruptedRunError
from gigakit.engine import processes
from gigakit.engine.hooks.checkpoint_hook import SafeCheckpointHook
from gigakit.engine.signals import exit_code
from gigakit.registry import HOOKS


@HOOKS.register_module()
class SignalHook(Hook):
    """After the first SIGINT or SIGTERM, write a checkpoint and end the run.

    The signals are noted by the runner's :class:`~gigakit.engine.signals.StopSignals`. With several
    ranks, one that was signalled stops all of them at the same step.
    """

    priority = "LOWEST"

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Stop after the step that was under way."""
        self._stop_if_asked(runner, batch_idx + 1)

    def after_val_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Stop in the middle of a validation; the steps before it are kept."""
        if runner.world_size == 1:
            # ranks may hold different numbers of validation batches: they stop after the next step
            self._stop_if_asked(runner, runner.iter)

    def _stop_if_asked(self, runner: Any, step: int) -> None:
        number, stop = processes.most(
            [runner.stop_signals.received or 0, runner.train_loop.stop_training]
        )
        runner.train_loop.stop_training = bool(stop)
        if not number:
            return
        received = signal.Signals(number)
        for hook in runner.hooks:
            if isinstance(hook, SafeCheckpointHook):
                hook.save(runner, step)
        raise InterruptedRunError(
            f"stopped by {received.name} after step {step}, checkpoint written",
            where=runner.work_dir,
            fix="--resume goes on from here",
            exit_code=exit_code(received),
        )
