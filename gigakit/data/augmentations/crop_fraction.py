"""Crop a slide to a fraction of its tiles."""

from __future__ import annotations

from typing import Literal

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.data.slide_sample import SlideSample
from gigakit.registry import AUGMENTATIONS


@AUGMENTATIONS.register_module()
class CropFraction:
    """Keep ``ratio`` of a slide's tiles: a run of its sequence, or a random subset.

    The other reading of the paper's crop, beside :class:`CropWindow`: of the sequence instead of
    the area. ``max(1, floor(L * ratio))`` tiles stay, in their old order, so every view of a slide
    has the same length.

    Args:
        ratio: tiles kept over tiles, in (0, 1]; the paper's crop ratio is 0.875.
        keep: ``run`` keeps consecutive tiles, which in reading order are a band of the slide;
            ``subset`` draws them without replacement.

    Raises:
        ConfigError: the ratio is outside (0, 1], or another ``keep``.

    Source: Prov-GigaPath, Methods, slide-level pretraining ("crop ratio 0.875").
    Differs: the paper does not say whether the ratio is of the area, the side or the tile count.
    """

    def __init__(self, *, ratio: float = 0.875, keep: Literal["run", "subset"] = "run") -> None:
        if not 0.0 < ratio <= 1.0:
            raise ConfigError(f"ratio is {ratio}", where="CropFraction", fix="give 0 < ratio <= 1")
        if keep not in ("run", "subset"):
            raise ConfigError(f"keep is '{keep}'", where="CropFraction", fix="give run or subset")
        self.ratio, self.keep = ratio, keep

    def __call__(self, sample: SlideSample, generator: np.random.Generator) -> SlideSample:
        """Return the tiles kept."""
        length = len(sample)
        # the tolerance keeps a product such as 0.29 * 100 = 28.999... from losing a tile
        kept = max(1, int(length * self.ratio + 1e-9)) if length else 0
        if self.keep == "subset":
            return sample.take(np.sort(generator.permutation(length)[:kept]))
        start = int(generator.integers(length - kept + 1))
        return sample.take(np.arange(start, start + kept))
