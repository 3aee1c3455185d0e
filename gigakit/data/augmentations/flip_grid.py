"""Mirror a slide's positions."""

from __future__ import annotations

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.data.slide_sample import SlideSample
from gigakit.registry import AUGMENTATIONS


@AUGMENTATIONS.register_module()
class FlipGrid:
    """Mirror the column positions within the slide's own extent, with probability ``p``.

    Formula: ``x -> max(x) + min(x) - x``.

    Args:
        p: probability per slide, in [0, 1]; the paper's value is 0.5.

    Raises:
        ConfigError: p is outside [0, 1].

    Source: Prov-GigaPath, Methods, slide-level pretraining ("horizontal flip").
    """

    def __init__(self, *, p: float = 0.5) -> None:
        if not 0.0 <= p <= 1.0:
            raise ConfigError(f"p is {p}", where="FlipGrid", fix="give 0 <= p <= 1")
        self.p = p

    def __call__(self, sample: SlideSample, generator: np.random.Generator) -> SlideSample:
        """Return the slide, mirrored or as it was; the order of tiles is kept."""
        if generator.random() >= self.p:
            return sample
        grid = sample.grid.copy()
        grid[:, 0] = grid[:, 0].max() + grid[:, 0].min() - grid[:, 0]
        return SlideSample(sample.features, grid)
