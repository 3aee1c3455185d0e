"""Crop a slide to a random window of its tissue's box."""

from __future__ import annotations

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.data.slide_sample import SlideSample
from gigakit.registry import AUGMENTATIONS


@AUGMENTATIONS.register_module()
class CropWindow:
    """Keep the tiles inside a random window whose sides are ``ratio`` of the tissue box's sides.

    The window's corner is uniform over the positions that keep it inside the box. A window that
    would hold no tile (a ring of tissue) leaves the slide whole.

    Args:
        ratio: side of the window over side of the box, in (0, 1]; the paper's crop ratio is 0.875.

    Raises:
        ConfigError: the ratio is outside (0, 1].

    Source: Prov-GigaPath, Methods, slide-level pretraining ("crop ratio 0.875").
    Differs: the paper does not say whether the ratio is of the area, the side or the tile count.
    """

    def __init__(self, *, ratio: float = 0.875) -> None:
        if not 0.0 < ratio <= 1.0:
            raise ConfigError(f"ratio is {ratio}", where="CropWindow", fix="give 0 < ratio <= 1")
        self.ratio = ratio

    def __call__(self, sample: SlideSample, generator: np.random.Generator) -> SlideSample:
        """Return the tiles inside the window, in their old order."""
        low = sample.grid.min(axis=0)
        # a tile covers one cell, so the box ends one cell after its last position
        side = sample.grid.max(axis=0) + 1.0 - low
        corner = low + generator.random(2) * side * (1.0 - self.ratio)
        centre = sample.grid + 0.5
        inside = np.all((centre >= corner) & (centre <= corner + side * self.ratio), axis=1)
        if not inside.any():
            return sample
        return sample.take(inside)
