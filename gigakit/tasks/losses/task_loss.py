"""What a loss of a slide-level task tells the model around it."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class TaskLoss(Protocol):
    """A loss of outputs and labels, and what the outputs mean.

    Attributes:
        kind: of the task it is for: ``classification``, ``multi_label``, ``regression`` or
            ``survival``.
    """

    kind: str

    def __call__(self, outputs: Tensor, label: Tensor) -> Tensor:
        """Return the loss ``()`` of outputs ``(B, O)`` and the labels of the dataset."""
        ...

    def predictions(self, outputs: Tensor) -> dict[str, Tensor]:
        """Return what outputs ``(B, O)`` say, by name, each ``(B, O)``."""
        ...
