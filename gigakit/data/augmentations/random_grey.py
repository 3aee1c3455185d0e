"""Colour taken away from some views."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from gigakit.data.photometric import Chance, change_rows, chosen, grey_of, with_flag
from gigakit.registry import AUGMENTATIONS


@AUGMENTATIONS.register_module()
class RandomGrey:
    """Replace a view by its grey, ``0.299 R + 0.587 G + 0.114 B`` in all three channels.

    Args:
        p: probability per view, or one each for the first global, further global and local views;
            DINOv2 0.2.

    Raises:
        ConfigError: a probability outside [0, 1].

    Source: DINOv2's data augmentation as released.
    """

    def __init__(self, *, p: float | Sequence[float] = 0.2) -> None:
        self.chance = Chance(p, "RandomGrey")

    def draw(self, generator: np.random.Generator, crops: int, global_crops: int = 2) -> np.ndarray:
        """Return ``(crops, 1)``: whether a view becomes grey."""
        return with_flag(self.chance.draw(generator, crops, global_crops))

    def apply(self, images: Tensor, parameters: Tensor) -> Tensor:
        """Change the views drawn; see :class:`gigakit.data.photometric.Photometric`."""
        change_rows(images, chosen(parameters), lambda views, _: grey_of(views).expand_as(views))
        return images
