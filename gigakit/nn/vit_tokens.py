"""What a vision transformer returns of a batch of images."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class VitTokens:
    """Tokens after the final norm, of n images.

    Attributes:
        cls: ``(n, D)``.
        registers: ``(n, R, D)``; R may be 0.
        patches: ``(n, P, D)``, row by row of the grid.
    """

    cls: Tensor
    registers: Tensor
    patches: Tensor
