"""Masking of image patches without a shape."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gigakit.data.maskings.patch_counts import PatchCounts
from gigakit.registry import MASKINGS


@MASKINGS.register_module()
class RandomPatchMasks:
    """Hide patches drawn without replacement, exactly as many as are asked for.

    Args:
        probability: share of a batch's global crops that are masked; 0.5 in iBOT.
        ratio: least and largest part of a masked crop that is hidden; [0.1, 0.5] in iBOT's recipes.
        per_image: each crop is masked with ``probability``, whatever the others are, as in iBOT.

    Raises:
        ConfigError: probability or ratio out of range.

    Source: iBOT's released shape ``rand``; MAE (He et al. 2022), section 3.
    """

    def __init__(
        self,
        *,
        probability: float = 0.5,
        ratio: Sequence[float] = (0.1, 0.5),
        per_image: bool = False,
    ) -> None:
        self.counts = PatchCounts(
            probability=probability, ratio=ratio, per_image=per_image, where="RandomPatchMasks"
        )
        self.per_image = per_image

    def draw(
        self, crops: int, height: int, width: int, generator: np.random.Generator
    ) -> np.ndarray:
        """Return masks ``(crops, height * width)`` bool, True = masked out."""
        patches = height * width
        counts = self.counts.draw(crops, patches, generator)
        # the place of each patch in a random order of its crop
        order = generator.random((crops, patches)).argsort(axis=1).argsort(axis=1)
        masks: np.ndarray = order < counts[:, None]
        return masks
