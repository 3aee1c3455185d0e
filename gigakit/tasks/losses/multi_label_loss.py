"""The loss of tasks with several yes-or-no labels a slide."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gigakit.core.errors import ConfigError
from gigakit.registry import LOSSES


@LOSSES.register_module()
class MultiLabelLoss(nn.Module):
    """Binary cross-entropy of labels that may be unknown.

    Formula: the mean over the known labels of a batch of ``-[p y log s(x) + (1 - y) log s(-x)]``,
    with s the sigmoid.

    Args:
        positive_weights: p, one a label; ``None`` takes 1, as published.

    Raises:
        ConfigError: a weight that is not positive.

    Source: Prov-GigaPath's released fine-tuning, ``BCEWithLogitsLoss``.
    Differs: labels that are unknown (NaN) do not count; there every label has to be known.
    """

    kind = "multi_label"

    def __init__(self, *, positive_weights: Sequence[float] | None = None) -> None:
        super().__init__()
        if positive_weights is not None and not all(weight > 0 for weight in positive_weights):
            raise ConfigError(
                f"got {list(positive_weights)}",
                where="MultiLabelLoss.positive_weights",
                fix="give positive numbers",
            )
        given = None
        if positive_weights is not None:
            given = torch.tensor([float(weight) for weight in positive_weights])
        self.weights: Tensor | None
        self.register_buffer("weights", given, persistent=False)

    def forward(self, outputs: Tensor, label: Tensor) -> Tensor:
        """Return the loss ``()`` of logits ``(B, T)`` and labels ``(B, T)``, NaN = unknown."""
        known = ~label.isnan()
        each = functional.binary_cross_entropy_with_logits(
            outputs.float(), label.nan_to_num(), pos_weight=self.weights, reduction="none"
        )
        return (each * known).sum() / known.sum().clamp(min=1)

    def predictions(self, outputs: Tensor) -> dict[str, Tensor]:
        """Return ``logit`` and ``probability``, both ``(B, T)``."""
        return {"logit": outputs.float(), "probability": outputs.float().sigmoid()}
