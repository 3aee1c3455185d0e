"""Which draws each optimiser step uses, on every rank."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch.utils.data import DataLoader

from gigakit.core.errors import ConfigError


class BatchPlan:
    """Count the draws of a run's steps: batches of one size, or as a batch sampler cuts them.

    A step takes ``batches_per_step`` batches: ``accumulation`` of each of ``ranks`` ranks, batch
    ``a`` of rank ``r`` being number ``a * ranks + r`` of the step.

    Args:
        loader: of the training data; its sampler, or batch sampler, can be resumed.
        ranks: processes of the run.
        accumulation: batches of a rank in one optimiser step.

    Raises:
        ConfigError: a sampler that cannot be resumed, or no data.
    """

    def __init__(self, loader: DataLoader[Any], *, ranks: int, accumulation: int) -> None:
        self.ranks, self.accumulation = ranks, accumulation
        self.batch_size: int | None = loader.batch_size
        # torch puts a batch sampler of its own around a sampler
        sampler: Any = loader.sampler if self.batch_size else loader.batch_sampler
        self.sampler = sampler
        if not hasattr(sampler, "start") or not hasattr(sampler, "draws_per_epoch"):
            raise ConfigError(
                f"{type(sampler).__name__} cannot be resumed",
                where="train_dataloader.sampler",
                fix='use dict(type="ResumableSampler")',
            )
        if sampler.draws_per_epoch < 1:
            raise ConfigError("the dataset is empty", where="train_dataloader.dataset")
        self.go_on(0, 0)

    @property
    def batches_per_step(self) -> int:
        """Batches that all ranks together use in one optimiser step."""
        return self.ranks * self.accumulation

    @property
    def draws_per_step(self) -> int | str:
        """Samples of a step, or what limits them."""
        if self.batch_size:
            return self.batch_size * self.batches_per_step
        return f"{self.sampler} in each of {self.batches_per_step}"

    @property
    def steps_per_epoch(self) -> int:
        """Steps that the first epoch takes; where batches differ, later ones differ a little."""
        draws: int = self.sampler.draws_per_epoch
        if self.batch_size:
            return math.ceil(draws / (self.batch_size * self.batches_per_step))
        batches = end = 0
        while end < draws:
            end = self.sampler.end_of_batch(end)
            batches += 1
        return math.ceil(batches / self.batches_per_step)

    def go_on(self, step: int, draws: int) -> None:
        """Start after ``step`` steps, which have used ``draws`` draws."""
        self._step, self._ends = step, [draws]

    def draws_at(self, step: int) -> int:
        """Return the draws that all ranks together have used after a number of steps."""
        return self._end((step - self._step) * self.batches_per_step)

    def batches(self, step: int, rank: int) -> list[Sequence[int]]:
        """Return the draws in each batch of a rank, of the step after ``step`` steps."""
        if self.batch_size:
            first = self.draws_at(step) + rank
            span = self.batch_size * self.ranks
            return [
                range(begin, begin + span, self.ranks)
                for begin in range(first, first + span * self.accumulation, span)
            ]
        first = (step - self._step) * self.batches_per_step + rank
        numbers = range(first, first + self.batches_per_step, self.ranks)
        return [range(self._end(number), self._end(number + 1)) for number in numbers]

    @property
    def leftover_steps(self) -> float:
        """Part of a step that each epoch leaves over for the next one's first step; here none."""
        return 0.0

    def leftovers(self, step: int) -> int:  # noqa: ARG002
        """Return how many batches before a step's own are added to its gradient; here none."""
        return 0

    def weights(self, step: int, rank: int) -> list[float]:
        """Return by what a rank's losses count, so that a step's loss is the mean of its samples.

        Formula: samples of the batch over the mean samples of the step's batches.
        """
        if self.batch_size:
            return [1.0] * self.accumulation
        samples = self.draws_at(step + 1) - self.draws_at(step)
        return [len(b) * self.batches_per_step / samples for b in self.batches(step, rank)]

    def _end(self, batches: int) -> int:
        """Return the draws used after a number of batches of all ranks since :meth:`go_on`."""
        if self.batch_size:
            return self._ends[0] + batches * self.batch_size
        while len(self._ends) <= batches:
            self._ends.append(self.sampler.end_of_batch(self._ends[-1]))
        return self._ends[batches]
