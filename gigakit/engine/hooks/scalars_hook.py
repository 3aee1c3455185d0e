"""The numbers of a run: TensorBoard, scalars.jsonl and the log file, on one axis."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer

from gigakit.core.errors import ConfigError
from gigakit.core.files import write_text
from gigakit.engine.hooks.throughput_hook import ThroughputHook
from gigakit.registry import HOOKS

FILE = "scalars.jsonl"
# counts and settings: their newest value, not a mean; a hook may add to them
_CURRENT = ("train/lr", "train/weight_decay", "train/skipped_steps")
SETTINGS = "logged_settings"


@HOOKS.register_module()
class ScalarsHook(Hook):
    """Log the mean of each training scalar over an interval, the metrics, and the run's rates.

    Tags are ``train/loss``, ``train/lr``, ``train/grad_norm``, ..., ``perf/...`` and ``val/...``;
    the axis of all is optimiser steps done; ThroughputHook measures the rates. Steps 1, every
    ``interval_steps`` and the last are logged. A mean leaves out non-finite values (their steps
    were skipped and are counted).

    Args:
        interval_steps: optimiser steps between two points, at most 1000.

    Raises:
        ConfigError: interval_steps outside 1 to 1000.
    """

    priority = "BELOW_NORMAL"

    def __init__(self, *, interval_steps: int = 10) -> None:
        if not 1 <= interval_steps <= 1000:  # noqa: PLR2004
            raise ConfigError(
                f"got {interval_steps}", where="ScalarsHook.interval_steps", fix="give 1 to 1000"
            )
        self.interval_steps = interval_steps
        self.first_loss: float | None = None
        self.last_loss: float | None = None
        self.metrics: dict[str, float] = {}
        self.scalars: dict[str, float] = {}
        self._throughput: ThroughputHook | None = None

    def before_train(self, runner: Any) -> None:
        """Open the writers; a resumed run takes back what it will log again."""
        if runner.rank == 0:
            # a validation that may have been cut short is made again, and logged again
            again = bool(runner.iter) and runner.train_loop.validates_at(runner.iter)
            kept = _keep_until(runner.work_path / FILE, runner.iter, last_metrics=not again)
            for backend in _backends(runner, "open"):
                backend.open(runner.config_text, runner.iter, again=kept if again else None)
        found = [hook for hook in runner.hooks if isinstance(hook, ThroughputHook)]
        self._throughput = found[0] if found else None

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Log if this step is due."""
        step = batch_idx + 1
        if not self._is_due(step, runner.max_iters):
            return
        window = step - self._logged_before(step)
        hub = runner.message_hub.log_scalars
        current = (*_CURRENT, *runner.message_hub.runtime_info.get(SETTINGS, ()))
        self.scalars = {
            tag: _current(buffer) if tag in current else _finite_mean(buffer, window)
            for tag, buffer in hub.items()
            if tag.startswith("train/")
        }
        loss = self.scalars.get("train/loss", math.nan)
        self.first_loss = loss if self.first_loss is None else self.first_loss
        self.last_loss = loss
        speed = self._throughput.read(runner) if self._throughput else {}
        self.write(runner, {**self.scalars, **speed}, step)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Log the metrics of a validation."""
        self.metrics = {key: float(value) for key, value in (metrics or {}).items()}
        self.write(
            runner, {f"val/{key}": value for key, value in self.metrics.items()}, runner.iter
        )

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Keep the first loss over a resume, and let no event be younger than the checkpoint."""
        checkpoint["first_loss"] = self.first_loss
        if runner.rank == 0:
            for backend in _backends(runner, "flush"):
                backend.flush()

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Take back the first loss."""
        self.first_loss = checkpoint.get("first_loss")

    def _is_due(self, step: int, last: int) -> bool:
        return step in (1, last) or step % self.interval_steps == 0

    def _logged_before(self, step: int) -> int:
        if step == 1:
            return 0
        return max(1, (step - 1) // self.interval_steps * self.interval_steps)

    def write(self, runner: Any, scalars: dict[str, float], step: int) -> None:
        """Log numbers of a step to TensorBoard, the file and the log."""
        runner.visualizer.add_scalars(scalars, step=step)
        if runner.rank != 0:
            return
        plain = {tag: value if math.isfinite(value) else None for tag, value in scalars.items()}
        with (runner.work_path / FILE).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": step, **plain}) + "\n")
        numbers = "  ".join(f"{tag} {value:.6g}" for tag, value in scalars.items())
        runner.logger.info("step %d  %s", step, numbers)


def _current(buffer: HistoryBuffer) -> float:
    return float(buffer.data[0][-1])


def _finite_mean(buffer: HistoryBuffer, window: int) -> float:
    values = np.asarray(buffer.data[0][-window:], dtype=np.float64)
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else math.nan


def _backends(runner: Any, method: str) -> list[Any]:
    """Return the visualizer's backends that have a method of this name."""
    backends = runner.visualizer._vis_backends.values()
    return [backend for backend in backends if hasattr(backend, method)]


def _keep_until(path: Path, step: int, *, last_metrics: bool) -> dict[str, float | None]:
    """Drop the lines of steps that a resumed run makes again, and a line cut short by a kill.

    Args:
        path: the file.
        step: the last step that is kept.
        last_metrics: keep the metrics after it too.

    Returns:
        What is kept of the last step.
    """
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = [json.loads(line) for line in lines if line.endswith("\n")]
    kept = [
        row
        for row in rows
        if row["step"] < step
        or (row["step"] == step and (last_metrics or not any(map(_is_metric, row))))
    ]
    write_text(path, "".join(json.dumps(row) + "\n" for row in kept))
    return {tag: value for row in kept if row.pop("step") == step for tag, value in row.items()}


def _is_metric(tag: str) -> bool:
    return tag.startswith("val/")
