"""Objectives that show the patch tokens of their tile encoder."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class ShowsPatchFeatures(Protocol):
    """An objective that shows what its encoder makes of each patch of a tile."""

    def patch_features(self, images: Tensor) -> Tensor:
        """Return the patch tokens ``(B, P, D)`` after the final norm, row by row of the tile.

        Args:
            images: ``(B, 3, S, S)`` as the data preprocessor leaves them.
        """
        ...
