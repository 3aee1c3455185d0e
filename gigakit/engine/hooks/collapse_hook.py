"""A warning where the representation collapses."""

from __future__ import annotations

import logging
from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor

from gigakit.core.errors import ConfigError
from gigakit.engine import processes
from gigakit.engine.hooks.scalars_hook import ScalarsHook
from gigakit.engine.run_precision import as_in_steps
from gigakit.registry import HOOKS
from gigakit.ssl.health import (
    ReportsHealth,
    covariance_effective_rank,
    feature_std,
    mean_pairwise_cosine,
    target_entropies,
)

LOGGER = logging.getLogger(__name__)

# numbers that fall when a representation collapses, and the value that is alarming by itself
_ALARMING = {
    "health/feature_std": 0.01,
    "health/effective_rank": 1.2,
    "health/prototype_entropy": 0.1,
}
_UNIFORM_TARGETS = 0.9999
_SPREAD = "lower the rate or enlarge the batch; with a teacher, raise the weight of KoLeo"
_REMEDIES = {
    "health/feature_std": _SPREAD,
    "health/effective_rank": _SPREAD,
    "health/prototype_entropy": "lower the rate, or take SinkhornKnopp for targets",
    "health/target_entropy": (
        "take fewer prototypes or no layer_scale, or lower the teacher's temperature"
    ),
}


@HOOKS.register_module()
class CollapseHook(Hook):
    """Measure the representation of a training batch now and then, and warn when it collapses.

    The objective shows its features through :class:`~gigakit.ssl.health.ReportsHealth`. Logged are

    - ``health/feature_std``: mean standard deviation of L2-normalised features, times sqrt(D): 1
      where they point everywhere, 0 where all are alike;
    - ``health/effective_rank``: of their covariance, 1 to D;
    - ``health/mean_cosine``: over pairs;
    - with a teacher ``health/prototype_entropy`` and ``health/target_entropy``, as parts of ln K.

    A warning is given once, with the remedy, when one of them falls below what is alarming by
    itself (0.01, 1.2, 0.1) or below ``smallest_share`` of its first value, or when all targets are
    uniform; and again only after it has recovered. What is as low at the first measurement has not
    collapsed: it has not begun, and is told as that.

    Args:
        interval_steps: optimiser steps between measurements.
        max_samples: features of each rank that are looked at.
        smallest_share: of the first value, under which a warning is given.

    Raises:
        ConfigError: the objective does not show its features, or a value that cannot be used.

    Cost: one forward pass without gradient and a D × D eigenvalue problem an interval.
    """

    # before the checkpoint of the same step, which then holds what was logged
    priority = "LOW"

    def __init__(
        self,
        *,
        interval_steps: int = 100,
        max_samples: int = 1024,
        smallest_share: float = 0.1,
    ) -> None:
        for name, value, least in (
            ("interval_steps", interval_steps, 1),
            ("max_samples", max_samples, 2),
        ):
            if value < least:
                raise ConfigError(
                    f"got {value}", where=f"CollapseHook.{name}", fix=f"give {least} or more"
                )
        if not 0.0 <= smallest_share < 1.0:
            raise ConfigError(
                f"got {smallest_share}", where="CollapseHook.smallest_share", fix="give 0 to 1"
            )
        self.interval_steps, self.max_samples = interval_steps, max_samples
        self.smallest_share = smallest_share
        self._first: dict[str, float] = {}
        self._told: list[str] = []

    def before_train(self, runner: Any) -> None:
        """Refuse an objective that does not show its features."""
        if not isinstance(runner.objective, ReportsHealth):
            raise ConfigError(
                f"{runner.model_name} has no method health()",
                where="CollapseHook",
                fix="leave the hook out, or add the method",
            )

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Measure if this step is due."""
        step = batch_idx + 1
        if step % self.interval_steps:
            return
        numbers = self._measure(runner, data_batch)
        for hook in runner.hooks:
            if isinstance(hook, ScalarsHook):
                hook.write(runner, numbers, step)
        complaints = self._complaints(numbers)
        for tag in sorted(complaints.keys() - set(self._told)):
            LOGGER.warning("step %d: %s: %s", step, complaints[tag], _REMEDIES[tag])
        self._told = sorted(complaints)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Keep what later values are compared with."""
        checkpoint["collapse"] = {"first": dict(self._first), "told": list(self._told)}

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Take it back, where the run had this hook."""
        if kept := checkpoint.get("collapse"):
            self._first, self._told = dict(kept["first"]), list(kept["told"])

    @torch.no_grad()
    def _measure(self, runner: Any, batch: Any) -> dict[str, float]:
        objective = runner.objective
        runner.model.eval()
        with as_in_steps(runner):
            shown = objective.health(**objective.data_preprocessor(batch, False))
        # the loop puts the model back into training mode before the next step
        gathered = processes.collect({name: self._some(value) for name, value in shown.items()})
        all_ranks = {name: torch.cat([rank[name] for rank in gathered]) for name in gathered[0]}
        return _numbers(all_ranks)

    def _some(self, values: Tensor) -> Tensor:
        every = -(-len(values) // self.max_samples) or 1
        return values[::every].float().cpu()

    def _complaints(self, numbers: dict[str, float]) -> dict[str, str]:
        found = {}
        for tag, alarming in _ALARMING.items():
            if tag not in numbers:
                continue
            begins = tag not in self._first
            first = self._first.setdefault(tag, numbers[tag])
            limit = max(alarming, self.smallest_share * first)
            if numbers[tag] < limit:
                found[tag] = (
                    f"nothing is told apart yet: {tag} is {numbers[tag]:.4g}; if that stays"
                    if begins
                    else f"the representation collapses: {tag} is {numbers[tag]:.4g}, under "
                    f"{limit:.4g} (at first {first:.4g})"
                )
        if numbers.get("health/target_entropy", 0.0) > _UNIFORM_TARGETS:
            found["health/target_entropy"] = "the teacher's targets are uniform: nothing is learned"
        return found


def _numbers(shown: dict[str, Tensor]) -> dict[str, float]:
    features = shown["features"]
    numbers = {
        "health/feature_std": float(feature_std(features).mean()) * features.shape[1] ** 0.5,
        "health/effective_rank": covariance_effective_rank(features),
        "health/mean_cosine": mean_pairwise_cosine(features),
    }
    if "teacher_probs" in shown:
        of_mean, of_each = target_entropies(shown["teacher_probs"])
        numbers |= {"health/prototype_entropy": of_mean, "health/target_entropy": of_each}
    return numbers
