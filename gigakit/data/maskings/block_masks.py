"""Masking of image patches by rectangles."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.data.maskings.patch_counts import PatchCounts, complete
from gigakit.registry import MASKINGS

_TRIES = 10


@MASKINGS.register_module()
class BlockMasks:
    """Hide rectangles of patches until a crop has the number that is asked for, or nearly.

    A rectangle has an area uniform between ``min_patches`` and what is still missing, at most half
    of the grid; its aspect ratio is log-uniform. It counts if it lies inside, is smaller than the
    grid both ways, and hides something new, yet not more than is missing. Ten failures in a row end
    the crop: 6 to 16 % of the crops stay a few patches short, none exceeds its number.

    Args:
        probability: share of a batch's global crops that are masked; 0.5 in DINOv2.
        ratio: least and largest part of a masked crop that is hidden; [0.1, 0.5] in DINOv2,
            stratified over the masked crops.
        min_patches: least area that is asked for; 4 in DINOv2, 16 in iBOT for 14 x 14 patches.
        min_aspect: least aspect ratio of a rectangle; the largest is its inverse.
        exact: hide what is missing at random, and take each stratum's largest ratio, so that every
            batch hides the same number of patches (DINOv3).
        shift: roll each mask by a random step both ways (DINOv3's option).
        per_image: each crop is masked with ``probability``, whatever the others are, as in iBOT.

    Raises:
        ConfigError: probability, ratio or min_aspect out of range, or ``min_patches`` under 1.

    Source: BEiT (Bao et al. 2022), algorithm 1; DINOv2's released masks.
    """

    def __init__(
        self,
        *,
        probability: float = 0.5,
        ratio: Sequence[float] = (0.1, 0.5),
        min_patches: int = 4,
        min_aspect: float = 0.3,
        exact: bool = False,
        shift: bool = False,
        per_image: bool = False,
    ) -> None:
        if min_patches < 1:
            raise ConfigError(
                f"min_patches is {min_patches}", where="BlockMasks", fix="give 1 or more"
            )
        if not 0 < min_aspect <= 1:
            raise ConfigError(f"min_aspect is {min_aspect}", where="BlockMasks", fix="try 0.3")
        self.counts = PatchCounts(
            probability=probability,
            ratio=ratio,
            per_image=per_image,
            upper_edge=exact,
            where="BlockMasks",
        )
        self.per_image = per_image
        self.min_patches = min_patches
        self.log_aspect = math.log(min_aspect)
        self.exact, self.shift = exact, shift

    def draw(
        self, crops: int, height: int, width: int, generator: np.random.Generator
    ) -> np.ndarray:
        """Return masks ``(crops, height * width)`` bool, True = masked out."""
        masks = np.zeros((crops, height, width), dtype=bool)
        counts = self.counts.draw(crops, height * width, generator).tolist()
        for mask, count in zip(masks, counts, strict=True):
            if not count:
                continue
            self._hide(mask, count, generator)
            if self.exact:
                complete(mask.reshape(-1), count, generator)
            if self.shift:
                mask[:] = np.roll(mask, generator.integers((height, width)), axis=(0, 1))
        return masks.reshape(crops, height * width)

    def _hide(self, mask: np.ndarray, count: int, generator: np.random.Generator) -> None:
        """Hide up to ``count`` patches of ``mask`` ``(height, width)`` in place."""
        height, width = mask.shape
        largest = height // 2 * width
        done = 0
        while done < count:
            new = self._rectangle(mask, min(count - done, largest), generator)
            if not new:
                return
            done += new

    def _rectangle(self, mask: np.ndarray, allowed: int, generator: np.random.Generator) -> int:
        """Hide one more rectangle in place; return how many patches of it are new, 0 for none."""
        height, width = mask.shape
        for size, shape in generator.random((_TRIES, 2)):
            area = self.min_patches + size * (allowed - self.min_patches)
            aspect = math.exp((1.0 - 2.0 * shape) * self.log_aspect)
            rows, columns = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if rows >= height or columns >= width:
                continue
            top, left = generator.integers((height - rows + 1, width - columns + 1)).tolist()
            rectangle = mask[top : top + rows, left : left + columns]
            new = rows * columns - int(rectangle.sum())
            if 0 < new <= allowed:
                rectangle[:] = True
                return new
        return 0
