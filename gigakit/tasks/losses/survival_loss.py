"""The loss of survival: Cox's partial likelihood.

Shapes: B slides of a batch, N those of the risk sets.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from gigakit.core.errors import ConfigError
from gigakit.registry import LOSSES


@LOSSES.register_module()
class SurvivalLoss(nn.Module):
    """The negative log partial likelihood of proportional hazards, per event.

    Formula, with r the risks, D the d events of a time, R all slides still at risk then::

        Breslow   sum over D of  log sum_R e^r - r_i
        Efron     alike, with  sum_R e^r - (l / d) sum_D e^r  for the l-th event of a time, l from 0

    The loss compares slides: a batch of one says nothing, and accumulated batches are each compared
    within themselves alone. A ``memory`` puts the last slides seen into the risk sets, with the
    risks they had then and without a gradient: an approximation that lets batches of one learn.
    Each process has its own risk sets and memory.

    Args:
        ties: how events of one time count.
        memory: slides before the batch that its risk sets hold too.

    Raises:
        ConfigError: unknown ties, a negative memory, or, in training, batches of one without it.

    Source: Cox 1972; Breslow 1974; Efron 1977.
    """

    kind = "survival"

    def __init__(self, *, ties: Literal["efron", "breslow"] = "efron", memory: int = 0) -> None:
        super().__init__()
        if ties not in ("efron", "breslow"):
            raise ConfigError(
                f"got '{ties}'", where="SurvivalLoss.ties", fix="give efron or breslow"
            )
        if memory < 0:
            raise ConfigError(f"got {memory}", where="SurvivalLoss.memory", fix="give 0 or more")
        self.efron, self.memory = ties == "efron", memory
        # risk, time, event; a row of NaN is free. A resumed run goes on with it
        self.recent: Tensor
        self.register_buffer("recent", torch.full((memory, 3), float("nan")))

    def forward(self, outputs: Tensor, label: Tensor) -> Tensor:
        """Return the loss ``()`` of risks ``(B, 1)`` and labels ``(B, 2)``: time, event.

        Raises:
            ConfigError: a batch of one and no memory.
        """
        if len(outputs) == 1 and not self.memory:
            raise ConfigError(
                "a batch of one slide has no risk set to learn from",
                where="SurvivalLoss",
                fix="give train_dataloader.batch_size 2 or more, or model.loss.memory=64",
            )
        batch = torch.cat([outputs.float(), label.float()], dim=1)
        held = self.recent[~self.recent[:, 0].isnan()]
        loss = self._loss(*torch.cat([batch, held]).unbind(dim=1))
        if self.training and self.memory:
            self.recent.copy_(torch.cat([batch.detach(), self.recent])[: self.memory])
        return loss

    def predictions(self, outputs: Tensor) -> dict[str, Tensor]:
        """Return ``risk`` ``(B, 1)``: the logarithm of the relative hazard."""
        return {"risk": outputs.float()}

    def _loss(self, risk: Tensor, time: Tensor, event: Tensor) -> Tensor:
        """Return the loss of risks, times and events, each ``(N,)``."""
        observed = event > 0
        shift = risk.detach().max()
        hazard = (risk - shift).exp()
        at_risk = (time[None, :] >= time[:, None]).to(hazard.dtype) @ hazard
        if self.efron:
            tied = (time[None, :] == time[:, None]) & observed[None, :]
            count = tied.sum(dim=1).clamp(min=1)
            before = tied.tril(diagonal=-1).sum(dim=1)
            at_risk = at_risk - before / count * (tied.to(hazard.dtype) @ hazard)
        # where nothing happened the loss has no value, and its gradient is 0
        each = at_risk[observed].log() + shift - risk[observed]
        return (each.sum() + 0.0 * risk.sum()) / observed.sum().clamp(min=1)
