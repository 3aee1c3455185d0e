"""The draws of steps where an epoch's last batches wait for the next epoch's first step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.utils.data import DataLoader

from gigakit.core.errors import ConfigError
from gigakit.engine.batch_plan import BatchPlan


class CarryingPlan(BatchPlan):
    """Count steps per epoch: those that are complete; the rest is added to the next epoch's first.

    With N slides in an epoch, one a batch, and A accumulated, an epoch has ``floor(N / A)`` steps.
    The first step of each epoch but the first has ``A + N mod A`` batches, each divided by A, and
    those that the last epoch leaves over are never used.

    Args:
        loader: of the training data, one slide a batch.
        accumulation: A.
        ranks: processes of the run; one.

    Raises:
        ConfigError: several processes, several slides a batch, or fewer slides than A.

    Source: Prov-GigaPath's released fine-tuning: its accumulation starts anew with each epoch,
        its gradients do not.
    """

    def __init__(self, loader: DataLoader[Any], *, ranks: int, accumulation: int) -> None:
        super().__init__(loader, ranks=ranks, accumulation=accumulation)
        draws: int = self.sampler.draws_per_epoch
        if ranks != 1 or self.batch_size != 1 or draws < accumulation:
            raise ConfigError(
                f"needs one process, batches of one and at least {accumulation} slides",
                where="train_cfg.carry_leftovers",
                fix="set it to False",
            )
        self.draws_per_epoch = draws

    @property
    def steps_per_epoch(self) -> int:
        """Complete steps of an epoch."""
        return self.draws_per_epoch // self.accumulation

    @property
    def leftover_steps(self) -> float:
        """Part of a step that each epoch leaves over."""
        return self.draws_per_epoch % self.accumulation / self.accumulation

    def draws_at(self, step: int) -> int:
        """Return the draws used after a number of steps."""
        if step == 0:
            return 0
        epoch, before = divmod(step - 1, self.steps_per_epoch)
        return epoch * self.draws_per_epoch + (before + 1) * self.accumulation

    def leftovers(self, step: int) -> int:
        """Return how many batches before a step's own are added to its gradient."""
        return self.draws_at(step + 1) - self.draws_at(step) - self.accumulation

    def batches(self, step: int, rank: int) -> list[Sequence[int]]:  # noqa: ARG002
        """Return the draws in each batch of the step after ``step`` steps."""
        return [range(n, n + 1) for n in range(self.draws_at(step), self.draws_at(step + 1))]

    def weights(self, step: int, rank: int) -> list[float]:  # noqa: ARG002
        """Return by what the losses count: all alike."""
        return [1.0] * (self.accumulation + self.leftovers(step))
