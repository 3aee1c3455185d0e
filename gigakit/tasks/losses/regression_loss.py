"""The loss of tasks with a number a slide."""

from __future__ import annotations

from torch import Tensor, nn

from gigakit.core.errors import ConfigError
from gigakit.registry import LOSSES


@LOSSES.register_module()
class RegressionLoss(nn.Module):
    """Mean squared error, in units of the training data's deviation.

    Formula, with m and s those of the training data: the value is ``m + s × output``, the loss the
    mean over slides of ``(output - (y - m) / s)²``.

    Args:
        mean: m; ``None`` in a recipe takes that of the training split, otherwise 0.
        deviation: s; ``None`` in a recipe takes that of the training split, otherwise 1.

    Raises:
        ConfigError: a deviation that is not positive.
    """

    kind = "regression"

    def __init__(self, *, mean: float | None = None, deviation: float | None = None) -> None:
        super().__init__()
        if deviation is not None and not deviation > 0:
            raise ConfigError(
                f"got {deviation}", where="RegressionLoss.deviation", fix="give more than 0"
            )
        self.mean = 0.0 if mean is None else mean
        self.deviation = 1.0 if deviation is None else deviation

    def forward(self, outputs: Tensor, label: Tensor) -> Tensor:
        """Return the loss ``()`` of outputs ``(B, 1)`` and values ``(B, 1)``."""
        return (outputs.float() - (label - self.mean) / self.deviation).square().mean()

    def predictions(self, outputs: Tensor) -> dict[str, Tensor]:
        """Return ``value`` ``(B, 1)`` in the unit of the labels."""
        return {"value": self.mean + self.deviation * outputs.float()}
