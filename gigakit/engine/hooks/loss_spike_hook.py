"""A warning where the loss leaves its usual range."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from mmengine.hooks import Hook

from gigakit.core.errors import ConfigError
from gigakit.engine.hooks.scalars_hook import SETTINGS
from gigakit.registry import HOOKS

LOGGER = logging.getLogger(__name__)

_TAG = "train/loss_spikes"
# the limits move slowly: 2 µs a step in place of 20
_EVERY_STEPS = 10


@HOOKS.register_module()
class LossSpikeHook(Hook):
    """Warn of a loss far above the recent ones, and of a loss that has been rising for long.

    Formula, over the last ``window_steps`` finite losses, with MAD the median distance from their
    median, times 1.4826::

        spike        loss  >  median + max(deviations × MAD, min_rise × |median|)
        divergence   median now  >  the limit that belonged to the lowest median so far

    After a warning it is silent for a window. The loss is the mean over the ranks, so all decide
    alike. Warnings are counted as ``train/loss_spikes``.

    Args:
        window_steps: losses to compare with; nothing is said before a quarter of them is there.
        deviations: how many MADs above the median is too much.
        min_rise: what counts as a rise at all, as a part of the median, where noise is small.

    Raises:
        ConfigError: a window under 20 steps, or a limit that is not positive.
    """

    # before the hook that logs
    priority = "NORMAL"

    def __init__(
        self, *, window_steps: int = 200, deviations: float = 10.0, min_rise: float = 0.25
    ) -> None:
        if window_steps < 20:  # noqa: PLR2004
            raise ConfigError(
                f"got {window_steps}", where="LossSpikeHook.window_steps", fix="give 20 or more"
            )
        for name, value in (("deviations", deviations), ("min_rise", min_rise)):
            if value <= 0:
                raise ConfigError(f"got {value}", where=f"LossSpikeHook.{name}", fix="give above 0")
        self.window_steps, self.deviations, self.min_rise = window_steps, deviations, min_rise
        self._losses: deque[float] = deque(maxlen=window_steps)
        self._median, self._limit = math.nan, math.inf
        self._lowest, self._lowest_limit = math.inf, math.inf
        self._count = self._silent_until = 0

    def before_train(self, runner: Any) -> None:
        """Have the count logged as it is, not as a mean."""
        settings = set(runner.message_hub.runtime_info.get(SETTINGS, ())) | {_TAG}
        runner.message_hub.update_info(SETTINGS, sorted(settings))

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Compare the loss of the step with those before it."""
        loss = float(runner.message_hub.log_scalars["train/loss"].data[0][-1])
        step = batch_idx + 1
        # a step whose loss is not finite is skipped, and told by the guard
        if math.isfinite(loss):
            complaint = self._complaint(loss)
            if complaint and step >= self._silent_until:
                self._count += 1
                self._silent_until = step + self.window_steps
                LOGGER.warning("step %d: %s; %s", step, complaint, _place(runner, step, data_batch))
            self._losses.append(loss)
            if step % _EVERY_STEPS == 0:
                self._move_limits()
        runner.message_hub.update_scalar(_TAG, self._count)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Keep what the next losses are compared with."""
        checkpoint["loss_spikes"] = {
            "losses": list(self._losses),
            "limits": [self._median, self._limit, self._lowest, self._lowest_limit],
            "counts": [self._count, self._silent_until],
        }

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Take it back, where the run had this hook."""
        if kept := checkpoint.get("loss_spikes"):
            self._losses.extend(kept["losses"])
            self._median, self._limit, self._lowest, self._lowest_limit = kept["limits"]
            self._count, self._silent_until = kept["counts"]

    def _complaint(self, loss: float) -> str | None:
        if loss > self._limit:
            usual = f"usually about {self._median:.4g}, at most {self._limit:.4g}"
            return f"the loss jumped to {loss:.4g}, {usual}"
        if self._median > self._lowest_limit:
            return f"the loss has risen from {self._lowest:.4g} to {self._median:.4g} (medians)"
        return None

    def _move_limits(self) -> None:
        if len(self._losses) < self.window_steps // 4:
            return
        losses = np.array(self._losses)
        self._median = float(np.median(losses))
        deviation = 1.4826 * float(np.median(np.abs(losses - self._median)))
        self._limit = self._above(self._median, deviation)
        if self._median <= self._lowest:
            self._lowest, self._lowest_limit = self._median, self._limit

    def _above(self, median: float, deviation: float) -> float:
        return median + max(self.deviations * deviation, self.min_rise * abs(median))


def _place(runner: Any, step: int, batch: Any) -> str:
    loop = runner.train_loop
    text = f"draws {loop.draws_at(step - 1)} to {loop.draws_at(step) - 1}"
    names = batch.get("slide_id") if isinstance(batch, Mapping) else None
    return f"{text}, slides {', '.join(dict.fromkeys(names))}" if names else text
