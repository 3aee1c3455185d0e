"""The loss of tasks with one class a slide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gigakit.core.errors import ConfigError
from gigakit.registry import LOSSES


@LOSSES.register_module()
class ClassificationLoss(nn.Module):
    """Cross-entropy of exclusive classes.

    Formula: the mean over slides of ``-w_y log softmax(outputs)_y``, divided by the mean of their
    weights ``w_y``.

    Args:
        class_weights: w, one a class in their order; ``balanced`` in a recipe takes
            ``slides / (classes × slides of the class)`` of the training split; ``None`` for none.
        label_smoothing: share of the target that is spread over all classes.

    Raises:
        ConfigError: a weight that is not positive, or a smoothing outside [0, 1).
    """

    kind = "classification"

    def __init__(
        self,
        *,
        class_weights: Sequence[float] | Literal["balanced"] | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        if isinstance(class_weights, str):
            raise ConfigError(
                f"'{class_weights}' has no training data to follow",
                where="ClassificationLoss.class_weights",
                fix="give numbers, or balanced in a recipe with labels",
            )
        if class_weights is not None and not all(weight > 0 for weight in class_weights):
            raise ConfigError(
                f"got {list(class_weights)}",
                where="ClassificationLoss.class_weights",
                fix="give positive numbers",
            )
        if not 0.0 <= label_smoothing < 1.0:
            raise ConfigError(f"got {label_smoothing}", where="ClassificationLoss.label_smoothing")
        weights = None if class_weights is None else torch.tensor([float(w) for w in class_weights])
        self.weights: Tensor | None
        self.register_buffer("weights", weights, persistent=False)
        self.label_smoothing = label_smoothing

    def forward(self, outputs: Tensor, label: Tensor) -> Tensor:
        """Return the loss ``()`` of logits ``(B, C)`` and classes ``(B,)`` int64."""
        return functional.cross_entropy(
            outputs.float(), label, self.weights, label_smoothing=self.label_smoothing
        )

    def predictions(self, outputs: Tensor) -> dict[str, Tensor]:
        """Return ``probability`` ``(B, C)``."""
        return {"probability": outputs.float().softmax(dim=-1)}
