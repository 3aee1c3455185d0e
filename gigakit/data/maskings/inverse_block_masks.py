"""Masking of image patches that leaves one rectangle."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.data.maskings.patch_counts import PatchCounts, complete
from gigakit.registry import MASKINGS


@MASKINGS.register_module()
class InverseBlockMasks:
    """Show one rectangle of patches and hide the rest.

    The rectangle has the area of what stays visible, as near as whole patches allow, and a
    log-uniform aspect ratio; it may reach over an edge and go on at the other. Patches are shown or
    hidden at random until the number is exact.

    Args:
        probability: share of a batch's global crops that are masked.
        ratio: least and largest part of a masked crop that is hidden; [0.65, 0.65] in CAPI.
        min_aspect: least aspect ratio of the rectangle; the largest is its inverse.
        per_image: each crop is masked with ``probability``, whatever the others are.

    Raises:
        ConfigError: probability, ratio or min_aspect out of range.

    Source: CAPI (Darcet et al. 2025), inverse block masking.
    Differs: the rectangle's aspect ratios are BEiT's; the published ones were not at hand.
    """

    def __init__(
        self,
        *,
        probability: float = 1.0,
        ratio: Sequence[float] = (0.65, 0.65),
        min_aspect: float = 0.3,
        per_image: bool = False,
    ) -> None:
        if not 0 < min_aspect <= 1:
            raise ConfigError(
                f"min_aspect is {min_aspect}", where="InverseBlockMasks", fix="try 0.3"
            )
        self.counts = PatchCounts(
            probability=probability, ratio=ratio, per_image=per_image, where="InverseBlockMasks"
        )
        self.per_image = per_image
        self.log_aspect = math.log(min_aspect)

    def draw(
        self, crops: int, height: int, width: int, generator: np.random.Generator
    ) -> np.ndarray:
        """Return masks ``(crops, height * width)`` bool, True = masked out."""
        masks = np.zeros((crops, height, width), dtype=bool)
        counts = self.counts.draw(crops, height * width, generator).tolist()
        for mask, count in zip(masks, counts, strict=True):
            if not count:
                continue
            visible = height * width - count
            aspect = math.exp(generator.uniform(self.log_aspect, -self.log_aspect))
            rows = min(height, round(math.sqrt(visible * aspect)))
            columns = min(width, round(visible / max(rows, 1)))
            mask[:] = True
            mask[:rows, :columns] = False
            mask[:] = np.roll(mask, generator.integers((height, width)), axis=(0, 1))
            complete(mask.reshape(-1), count, generator)
        return masks.reshape(crops, height * width)
