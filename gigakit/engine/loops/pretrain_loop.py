"""The training loop: one iteration is one optimiser step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.runner.base_loop import BaseLoop
from torch import Tensor
from torch.utils.data import DataLoader

from gigakit.core.errors import ConfigError
from gigakit.engine import processes
from gigakit.engine.batch_plan import BatchPlan
from gigakit.engine.skipped_steps import report_skipped_step
from gigakit.registry import LOOPS
from gigakit.ssl.teacher import HasTeacher


@LOOPS.register_module()
class PretrainLoop(BaseLoop):
    """Train for a number of epochs, resolved to optimiser steps at the start.

    An iteration takes ``accumulative_counts`` batches of each rank and makes one optimiser step:
    schedules, intervals and checkpoints never fall inside an accumulation window::

        steps_per_epoch = ceil(draws_per_epoch / (batch_size × ranks × accumulative_counts)),
                          unless it is given
        max_iters       = min(max_steps, epochs × steps_per_epoch)

    A batch sampler may cut batches of unequal numbers of samples. Then steps_per_epoch are those of
    the first epoch, and each batch's loss counts by its samples: a step's loss is the mean over all
    its samples, however they are divided among batches and ranks.

    A resumed run tells the sampler where to start, so nothing is read again, even where the number
    of draws in a step has changed.

    Args:
        runner: the runner; handed in by it.
        dataloader: config of the training data, with a resumable sampler; handed in by the runner.
        epochs: passes over the data.
        steps_per_epoch: optimiser steps that count as an epoch instead of a pass over the data;
            DINOv2 takes 1,250 whatever the data.
        max_steps: upper limit of optimiser steps; ``None`` for no limit.
        val_interval_steps: validate every so many steps; ``None`` not before the end.
        val_at_end: validate after the last step.

    Raises:
        ConfigError: a count under 1, no data, or a sampler that cannot be resumed.

    Differs: mmengine's IterBasedTrainLoop counts micro-batches and resumes by reading all the data
        already seen (mmengine issue 1520).
    """

    def __init__(
        self,
        runner: Any,
        dataloader: DataLoader[Any] | dict[str, Any],
        *,
        epochs: int,
        steps_per_epoch: int | None = None,
        max_steps: int | None = None,
        val_interval_steps: int | None = None,
        val_at_end: bool = True,
    ) -> None:
        for name, value in (
            ("epochs", epochs),
            ("steps_per_epoch", steps_per_epoch),
            ("max_steps", max_steps),
            ("val_interval_steps", val_interval_steps),
        ):
            if value is not None and value < 1:
                raise ConfigError(f"got {value}", where=f"train_cfg.{name}", fix="give 1 or more")
        super().__init__(runner, dataloader)
        self.epochs, self.max_steps = epochs, max_steps
        self.val_interval_steps, self.val_at_end = val_interval_steps, val_at_end
        self.stop_training = False
        self._iter = self._epoch = 0
        self._validated_at: int | None = None
        self.accumulation = _accumulation(runner.optim_wrapper)
        self.plan = BatchPlan(
            self.dataloader, ranks=runner.world_size, accumulation=self.accumulation
        )
        self.steps_per_epoch = steps_per_epoch or self.plan.steps_per_epoch

    @property
    def draws_per_step(self) -> int | str:
        """Samples that all ranks together use in one optimiser step, or what limits them."""
        return self.plan.draws_per_step

    @property
    def max_iters(self) -> int:
        """Optimiser steps of the whole run."""
        steps = self.epochs * self.steps_per_epoch
        return steps if self.max_steps is None else min(steps, self.max_steps)

    @property
    def max_epochs(self) -> int:
        """Epochs of the whole run."""
        return self.epochs

    @property
    def iter(self) -> int:
        """Optimiser steps done."""
        return self._iter

    @property
    def epoch(self) -> int:
        """Epochs completed."""
        return self._iter // self.steps_per_epoch

    def draws_at(self, step: int) -> int:
        """Return the draws that all ranks together have used after a number of steps."""
        return self.plan.draws_at(step)

    def go_on(self, step: int, draws: int) -> None:
        """Start after ``step`` steps, which have used ``draws`` draws."""
        self._iter = step
        self.plan.go_on(step, draws)

    def run(self) -> torch.nn.Module:
        """Train, validate, and return the model."""
        if self.plan.batch_size is None and not hasattr(self.runner.optim_wrapper, "loss_weight"):
            raise ConfigError(
                "does not weigh batches by their samples",
                where="optim_wrapper.type",
                fix="use GuardedOptimWrapper with a batch sampler",
            )
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        if 0 < self._iter < self.max_iters and self.validates_at(self._iter):
            # the checkpoint is older than the validation after its step: was that cut short?
            self._validate()
        batches = self._batches()
        while self._iter < self.max_iters and not self.stop_training:
            self.runner.model.train()
            count = self.accumulation + self.plan.leftovers(self._iter)
            self._run_step([next(batches) for _ in range(count)])
            if self._iter < self.max_iters and self.validates_at(self._iter):
                self._validate()
        # loader workers end with their iterator
        del batches
        # a metric that ends training has been measured already
        if self.validates_at(self.max_iters) and self._validated_at != self._iter:
            self._validate()
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        model: torch.nn.Module = self.runner.model
        return model

    def _batches(self) -> Iterator[Any]:
        self.plan.sampler.start = self.draws_at(self._iter)
        return iter(self.dataloader)

    def _run_step(self, batches: list[Any]) -> None:
        now = {"batch_idx": self._iter, "data_batch": batches[0]}
        self.runner.call_hook("before_train_iter", **now)
        optim_wrapper = self.runner.optim_wrapper
        weights = self.plan.weights(self._iter, self.runner.rank)
        leftovers = self.plan.leftovers(self._iter)
        outputs = []
        for place, (batch, weight) in enumerate(zip(batches, weights, strict=True)):
            optim_wrapper.loss_weight = weight
            optim_wrapper.uncounted = place < leftovers
            outputs.append(self.runner.model.train_step(batch, optim_wrapper=optim_wrapper))
        if getattr(optim_wrapper, "last_skip", None) is not None:
            report_skipped_step(self.runner, batches, outputs)
        elif isinstance(objective := self.runner.objective, HasTeacher):
            objective.follow_student()
        try:
            self.runner.call_hook("after_train_iter", **now, outputs=_mean(outputs, weights))
        finally:
            # the step is made, whatever a hook decides after it
            self._iter += 1

    def validates_at(self, step: int) -> bool:
        """Tell whether a validation follows a step."""
        if self.runner.val_loop is None:
            return False
        interval = self.val_interval_steps
        if step == self.max_iters and self.val_at_end:
            return True
        return interval is not None and step % interval == 0

    def _validate(self) -> None:
        self.runner.val_loop.run()
        self._validated_at = self._iter
        # what a metric stops, it stops on all ranks
        self.stop_training = processes.most([self.stop_training]) == [1]


def _accumulation(optim_wrapper: Any) -> int:
    """Read the number of accumulated batches from the wrapper or its config."""
    if isinstance(optim_wrapper, dict):
        return int(optim_wrapper.get("accumulative_counts", 1))
    return int(getattr(optim_wrapper, "_accumulative_counts", 1))


def _mean(outputs: list[dict[str, Tensor]], weights: list[float]) -> dict[str, Tensor]:
    """Average the losses over an accumulation window and over the ranks."""
    if len(outputs) == 1 and processes.world_size() == 1:
        return outputs[0]
    names = list(outputs[0])
    values = torch.stack(
        [
            torch.stack([out[name].detach() for name in names]) * weight
            for out, weight in zip(outputs, weights, strict=True)
        ]
    )
    return dict(zip(names, processes.mean(values.float().mean(dim=0)), strict=True))
