"""What a user sees while a run trains: one bar on a terminal, else one line an interval."""

from __future__ import annotations

import time
from typing import Any

from mmengine.hooks import Hook
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gigakit.engine.banner import banner_lines
from gigakit.registry import HOOKS

_REFRESH_SECONDS = 0.1


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
        self._start_step, self._start_time, self._shown = 0, 0.0, 0.0

    def before_train(self, runner: Any) -> None:
        """Print the banner and start the bar."""
        self._start_step, self._start_time = runner.iter, time.perf_counter()
        if runner.rank != 0:
            return
        for line in banner_lines(runner):
            runner.console.print(line, markup=False, highlight=False, soft_wrap=True)
            runner.logger.info(line)
        if runner.console.is_terminal:
            self._progress = Progress(
                TextColumn("step"),
                MofNCompleteColumn(),
                BarColumn(bar_width=12),
                TextColumn("{task.description}"),
                TimeRemainingColumn(),
                console=runner.console,
            )
            self._progress.add_task("", total=runner.max_iters, completed=runner.iter)
            self._progress.start()

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Move the bar, or print a line if one is due."""
        step = batch_idx + 1
        if runner.rank != 0:
            return
        if self._progress is not None:
            self._move(runner, step)
        elif step in (1, runner.max_iters) or step % self.interval_steps == 0:
            text = f"step {step}/{runner.max_iters}  {self._describe(runner, step)}"
            left = (runner.max_iters - step) / self._rate(step)
            runner.console.print(
                f"{text}  {_clock(left)} left", markup=False, highlight=False, soft_wrap=True
            )

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Print the metrics."""
        if runner.rank == 0 and metrics:
            numbers = "  ".join(f"{key} {value:.4g}" for key, value in metrics.items())
            runner.console.print(
                f"validation at step {runner.iter}  {numbers}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )

    def after_train(self, runner: Any) -> None:
        """Leave the finished bar on the screen."""
        self.close()

    def close(self) -> None:
        """Stop the bar, whatever ended the run."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _move(self, runner: Any, step: int) -> None:
        now = time.perf_counter()
        if self._progress is None or (
            now - self._shown < _REFRESH_SECONDS and step != runner.max_iters
        ):
            return
        self._shown = now
        task = self._progress.task_ids[0]
        self._progress.update(task, completed=step, description=self._describe(runner, step))

    def _rate(self, step: int) -> float:
        elapsed = time.perf_counter() - self._start_time
        return max(step - self._start_step, 1) / max(elapsed, 1e-9)

    def _describe(self, runner: Any, step: int) -> str:
        scalars = runner.message_hub.log_scalars
        words = [
            f"{label} {float(scalars[tag].data[0][-1]):{form}}"
            for label, tag, form in (
                ("loss", "train/loss", ".4f"),
                ("lr", "train/lr", ".2e"),
            )
            if tag in scalars
        ]
        words.append(f"{self._rate(step):.2f} steps/s")
        skipped = getattr(runner.optim_wrapper, "skipped_steps", 0)
        return "  ".join([*words, f"skipped {skipped}"] if skipped else words)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
