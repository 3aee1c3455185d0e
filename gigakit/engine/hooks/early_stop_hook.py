"""The end of a run that no longer gets better."""

from __future__ import annotations

import logging
import math
from typing import Any, Literal

from mmengine.hooks import Hook

from gigakit.core.errors import ConfigError
from gigakit.registry import HOOKS

LOGGER = logging.getLogger(__name__)


@HOOKS.register_module()
class EarlyStopHook(Hook):
    """End training after some validations without a better metric, on all ranks.

    What it has seen is part of the checkpoint, so a resumed run stops at the same step.

    Args:
        metric: such as ``reconstruction/r2``.
        better: which way is better.
        patience: validations without a better value that end the run.
        min_delta: by how much a value must be better to count.

    Raises:
        ConfigError: no validation takes place, or it has no such metric.

    Differs: mmengine's EarlyStoppingHook forgets what it has seen at a resume.
    """

    def __init__(
        self,
        *,
        metric: str,
        better: Literal["greater", "less"],
        patience: int = 5,
        min_delta: float = 0.0,
    ) -> None:
        if better not in ("greater", "less"):
            raise ConfigError(
                f"got '{better}'", where="EarlyStopHook.better", fix="give greater or less"
            )
        if patience < 1:
            raise ConfigError(
                f"got {patience}", where="EarlyStopHook.patience", fix="give 1 or more"
            )
        self.metric, self.better = metric, better
        self.patience, self.min_delta = patience, min_delta
        self._best, self._waited = math.nan, 0

    def before_train(self, runner: Any) -> None:
        """Refuse a metric that no evaluator can have, before hours are spent."""
        if runner.val_loop is None or runner.train_loop.val_interval_steps is None:
            raise ConfigError(
                "needs validations during training",
                where="EarlyStopHook",
                fix="set train_cfg.val_interval_steps and an evaluator",
            )
        prefixes = [metric.prefix for metric in runner.val_loop.evaluator.metrics]
        if not any(prefix is None or self.metric.startswith(f"{prefix}/") for prefix in prefixes):
            raise self._no_such_metric(f"names that begin with {', '.join(prefixes)}")

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Compare, and ask the loop to end."""
        found = metrics or {}
        if self.metric not in found:
            raise self._no_such_metric(", ".join(found))
        value = float(found[self.metric])
        if self._is_better(value):
            self._best, self._waited = value, 0
            return
        self._waited += 1
        if self._waited >= self.patience:
            LOGGER.warning(
                "%s was not better than %.4g in %d validations: training ends after step %d",
                self.metric,
                self._best,
                self._waited,
                runner.iter,
            )
            runner.train_loop.stop_training = True

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Keep the best value and the count."""
        checkpoint["early_stop"] = [self._best, self._waited]

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Take them back, where the run had this hook."""
        if "early_stop" in checkpoint:
            self._best, self._waited = checkpoint["early_stop"]

    def _is_better(self, value: float) -> bool:
        if math.isnan(self._best):
            return not math.isnan(value)
        gain = value - self._best if self.better == "greater" else self._best - value
        return gain > self.min_delta

    def _no_such_metric(self, known: str) -> ConfigError:
        return ConfigError(
            f"there is no metric '{self.metric}'",
            where="EarlyStopHook.metric",
            fix=f"known are {known}",
        )
