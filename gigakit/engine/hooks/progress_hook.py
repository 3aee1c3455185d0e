"""What a user sees while a run trains: one bar on a terminal, else one line an interval."""

from __future__ import annotations

import time
from typing import Any

from mmengine.hooks import Hook
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from gigakit.engine.banner import banner_lines, fit
from gigakit.engine.pace import Pace, clock
from gigakit.registry import HOOKS

_REFRESH_SECONDS = 0.2
# a narrower terminal has no room for a bar beside the numbers
_BAR_COLUMNS = 80


@HOOKS.register_module()
class ProgressHook(Hook):
    """Show step, loss, learning rate, speed, time left and skipped steps on stderr.

    Args:
        interval_steps: optimiser steps between two lines where stderr is no terminal.
    """

    priority = "LOW"

    def __init__(self, *, interval_steps: int = 10) -> None:
        self.interval_steps = interval_steps
        self._progress: Progress | None = None
        self._shown = 0.0
        self._pace = Pace()

    def before_train(self, runner: Any) -> None:
        """Print the banner and start the bar."""
        if runner.rank != 0:
            return
        lines = banner_lines(runner)
        for line in lines:
            runner.logger.info(line)
        terminal = runner.console.is_terminal
        for line in fit(lines, runner.console.width if terminal else None):
            runner.console.print(line, markup=False, highlight=False, soft_wrap=True)
        if terminal:
            text = TextColumn(
                "step {task.completed}/{task.total}  {task.description}",
                markup=False,
                table_column=Column(no_wrap=True, overflow="ellipsis"),
            )
            bar = [BarColumn(bar_width=12)] if runner.console.width >= _BAR_COLUMNS else []
            self._progress = Progress(
                text, *bar, console=runner.console, refresh_per_second=1 / _REFRESH_SECONDS
            )
            self._progress.add_task("", total=runner.max_iters, completed=runner.iter)
            self._progress.start()
        self._pace.start(runner.iter)

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Move the bar, or print a line if one is due."""
        if runner.rank != 0:
            return
        step = batch_idx + 1
        self._pace.step_done(step)
        if self._progress is not None:
            now = time.perf_counter()
            if now - self._shown >= _REFRESH_SECONDS or step == runner.max_iters:
                self._shown = now
                self._move(step, self._describe(runner, step))
        elif step in (1, runner.max_iters) or step % self.interval_steps == 0:
            _say(runner, f"step {step}/{runner.max_iters}  {self._describe(runner, step)}")

    def before_val_epoch(self, runner: Any) -> None:
        """Say why the steps stand still."""
        self._pace.validation_begins()
        if self._progress is not None:
            self._move(runner.iter, "validating")

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Print the metrics."""
        self._pace.validation_ends()
        if runner.rank == 0 and metrics:
            numbers = "  ".join(f"{key} {value:.4g}" for key, value in metrics.items())
            _say(runner, f"validation at step {runner.iter}  {numbers}")
        if self._progress is not None:
            self._move(runner.iter, self._describe(runner, runner.iter))

    def after_train(self, runner: Any) -> None:
        """Leave the finished bar on the screen."""
        self.close()

    def close(self) -> None:
        """Stop the bar, whatever ended the run."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _move(self, step: int, text: str) -> None:
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=step, description=text)

    def _describe(self, runner: Any, step: int) -> str:
        scalars = runner.message_hub.log_scalars
        left = self._pace.seconds_left(runner.max_iters - step, _validations_left(runner, step))
        loss, lr = (
            f"{label} {float(scalars[tag].data[0][-1]):{form}}" if tag in scalars else ""
            for label, tag, form in (("loss", "train/loss", ".4f"), ("lr", "train/lr", ".2e"))
        )
        others = [f"{self._pace.steps_per_second:.2f} steps/s"]
        if skipped := getattr(runner.optim_wrapper, "skipped_steps", 0):
            others.append(f"skipped {skipped}")
        others.append(f"{clock(left)} left")
        if self._progress is not None:
            # a narrow terminal cuts the end, so what is wanted most comes first
            others.reverse()
            return "  ".join(filter(None, [loss, *others, lr]))
        return "  ".join(filter(None, [loss, lr, *others]))


def _say(runner: Any, text: str) -> None:
    soft_wrap = not runner.console.is_terminal
    runner.console.print(text, markup=False, highlight=False, soft_wrap=soft_wrap)


def _validations_left(runner: Any, step: int) -> int:
    """Count the validations after ``step``, the one at the end included."""
    loop = runner.train_loop
    if runner.val_loop is None:
        return 0
    interval = loop.val_interval_steps or loop.max_iters + 1
    extra = loop.val_at_end and loop.max_iters % interval != 0
    return int(loop.max_iters // interval - step // interval + extra)
