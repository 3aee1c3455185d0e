"""Bright pixels turned dark."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from gigakit.data.photometric import Chance, change_rows, chosen, with_flag
from gigakit.registry import AUGMENTATIONS


@AUGMENTATIONS.register_module()
class Solarize:
    """Invert values from a threshold on: ``x -> 255 - x`` where ``x >= threshold``.

    Args:
        threshold: in grey levels; DINOv2 128.
        p: probability per view, or one each for the first global, further global and local views;
            DINOv2 (0, 0.2, 0). Encoders of tissue mostly leave it out.

    Raises:
        ConfigError: a probability outside [0, 1].

    Source: DINOv2's data augmentation as released.
    """

    def __init__(
        self, *, threshold: float = 128.0, p: float | Sequence[float] = (0.0, 0.2, 0.0)
    ) -> None:
        self.threshold = threshold
        self.chance = Chance(p, "Solarize")

    def draw(self, generator: np.random.Generator, crops: int, global_crops: int = 2) -> np.ndarray:
        """Return ``(crops, 1)``: whether a view is solarized."""
        return with_flag(self.chance.draw(generator, crops, global_crops))

    def apply(self, images: Tensor, parameters: Tensor) -> Tensor:
        """Change the views drawn; see :class:`gigakit.data.photometric.Photometric`."""

        def change(views: Tensor, _rows: Tensor) -> Tensor:
            # a mask of numbers: choosing by it is much faster on a CPU than torch.where
            return views.lerp(255 - views, views.clone().ge_(self.threshold))

        change_rows(images, chosen(parameters), change)
        return images
