"""The training loop of labelled slides, with epochs as the published fine-tuning has them."""

from __future__ import annotations

from typing import Any

from torch.utils.data import DataLoader

from gigakit.core.errors import ConfigError
from gigakit.engine.carrying_plan import CarryingPlan
from gigakit.engine.loops.pretrain_loop import PretrainLoop
from gigakit.registry import LOOPS


@LOOPS.register_module()
class FineTuneLoop(PretrainLoop):
    """Train on labelled slides; validate every so many epochs.

    Args:
        runner: the runner; handed in by it.
        dataloader: config of the training data, with a resumable sampler; handed in by the runner.
        epochs: passes over the data.
        max_steps: upper limit of optimiser steps; ``None`` for no limit.
        val_interval_epochs: validate every so many epochs; ``None`` not before the end.
        val_at_end: validate after the last step.
        carry_leftovers: what an epoch leaves over of an accumulation window. ``False``: windows
            run on over the border of epochs, each of the same number of slides. ``True``, as
            published: an epoch has complete windows alone, and the gradients of its last slides
            stay in the accumulator and join the next epoch's first window, see
            :class:`~gigakit.engine.carrying_plan.CarryingPlan`.

    Raises:
        ConfigError: a count under 1, no data, a sampler that cannot be resumed, or leftovers that
            cannot be carried.
    """

    def __init__(
        self,
        runner: Any,
        dataloader: DataLoader[Any] | dict[str, Any],
        *,
        epochs: int,
        max_steps: int | None = None,
        val_interval_epochs: int | None = 1,
        val_at_end: bool = True,
        carry_leftovers: bool = False,
    ) -> None:
        super().__init__(
            runner, dataloader, epochs=epochs, max_steps=max_steps, val_at_end=val_at_end
        )
        if val_interval_epochs is not None and val_interval_epochs < 1:
            raise ConfigError(
                f"got {val_interval_epochs}",
                where="train_cfg.val_interval_epochs",
                fix="give 1 or more",
            )
        if carry_leftovers:
            if not _carries(runner.optim_wrapper):
                raise ConfigError(
                    "does not carry leftovers",
                    where="optim_wrapper.type",
                    fix="use GuardedOptimWrapper with carry_leftovers",
                )
            self.plan = CarryingPlan(
                self.dataloader, ranks=runner.world_size, accumulation=self.accumulation
            )
            self.steps_per_epoch = self.plan.steps_per_epoch
        if val_interval_epochs is not None:
            self.val_interval_steps = val_interval_epochs * self.steps_per_epoch


def _carries(optim_wrapper: Any) -> bool:
    """Tell whether a wrapper, which may still be a config, can leave batches uncounted."""
    if isinstance(optim_wrapper, dict):
        return bool(optim_wrapper.get("type") == "GuardedOptimWrapper")
    return hasattr(optim_wrapper, "uncounted")
