"""Random strength of the stains haematoxylin, eosin and DAB."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gigakit.core.errors import ConfigError
from gigakit.data.photometric import Chance, change_rows, chosen, with_flag
from gigakit.registry import AUGMENTATIONS

# absorbance of red, green and blue by haematoxylin, eosin and DAB (Ruifrok and Johnston 2001)
STAINS = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))
# scikit-image divides by the density of a millionth of the light
SCIKIT_UNIT = -math.log(1e-6)
_STAIN_COUNT = 3


@AUGMENTATIONS.register_module()
class HedJitter:
    """Scale and shift the amount of each stain.

    With the optical density ``d = -ln(x / 255)`` of a pixel and the stains' absorbance ``M``, the
    amounts are ``s = d M^-1``, they become ``s a + b`` with ``a`` uniform in ``1 +- scale`` and
    ``b`` in ``+- shift``, one of each per stain and view, and the pixel ``255 exp(-(s a + b) M)``.

    The trap of units: scikit-image's amounts are densities divided by 13.8, so a shift of 0.05 in
    its units is one of 0.69 in density, which changes grey levels by 30 to 60 on the mean, where
    0.05 in density changes them by 3 to 5.

    Args:
        scale: half width of the factors; 0.05 is light, 0.2 strong.
        shift: half width of what is added, in ``unit``; 0.05 is light, 0.2 strong.
        unit: ``density``, or ``scikit`` for densities divided by 13.8. OpenMidnight's is
            ``scale=0, shift=0.05, unit="scikit", clip_stains=True``.
        clip_stains: no amount is below 0, before and after, as scikit-image has it; that changes
            pixels whose colour is no mixture of the stains even where nothing is shifted.
        p: probability per view, or one each for the first global, further global and local views.

    Raises:
        ConfigError: a scale outside [0, 1], a negative shift, or a probability that cannot be.

    Source: Tellez et al. 2018 (HED colour augmentation); Ruifrok and Johnston 2001.
    """

    def __init__(
        self,
        *,
        scale: float = 0.05,
        shift: float = 0.05,
        unit: Literal["density", "scikit"] = "density",
        clip_stains: bool = False,
        p: float | Sequence[float] = 0.5,
    ) -> None:
        if not 0.0 <= scale <= 1.0:
            raise ConfigError(f"got {scale}", where="HedJitter.scale", fix="give 0 to 1")
        if shift < 0:
            raise ConfigError(f"got {shift}", where="HedJitter.shift", fix="give 0 or more")
        if unit not in ("density", "scikit"):
            raise ConfigError(f"got '{unit}'", where="HedJitter.unit", fix="give density or scikit")
        self.scale = scale
        self.shift = shift * (SCIKIT_UNIT if unit == "scikit" else 1.0)
        # scikit-image takes black for a millionth of the light, else one grey level is the least
        self.darkest = 255e-6 if unit == "scikit" else 1.0
        self.clip_stains = clip_stains
        self.chance = Chance(p, "HedJitter")
        self.to_density = torch.tensor(STAINS)
        self.to_stains = torch.linalg.inv(self.to_density.double()).float()

    def draw(self, generator: np.random.Generator, crops: int, global_crops: int = 2) -> np.ndarray:
        """Return ``(crops, 7)``: whether, three factors, and three shifts in density."""
        changed = self.chance.draw(generator, crops, global_crops)
        spread = 2 * generator.random((crops, 2 * _STAIN_COUNT)) - 1
        width = np.repeat([self.scale, self.shift], _STAIN_COUNT)
        return with_flag(changed, spread * width + np.repeat([1.0, 0.0], _STAIN_COUNT))

    def apply(self, images: Tensor, parameters: Tensor) -> Tensor:
        """Change the views drawn; see :class:`gigakit.data.photometric.Photometric`."""
        factors, shifts = parameters[:, 1:].chunk(2, dim=1)

        def change(views: Tensor, rows: Tensor) -> Tensor:
            density = views.clamp_(min=self.darkest).div_(255).log_().neg_().flatten(2)
            if self.clip_stains:
                stains = (self.to_stains.T.to(views) @ density).clamp_(min=0)
                stains.mul_(factors[rows].to(views)[..., None])
                stains.add_(shifts[rows].to(views)[..., None]).clamp_(min=0)
                density = self.to_density.T.to(views) @ stains
            else:
                # both changes of basis and the factors are one 3 x 3 matrix per view
                scaled = self.to_stains * factors[rows, None, :]
                matrix = (scaled @ self.to_density).mT.to(views)
                offset = (shifts[rows] @ self.to_density).to(views)
                density = torch.baddbmm(offset[..., None], matrix, density)
            return density.neg_().exp_().mul_(255).clamp_(0, 255).view_as(views)

        change_rows(images, chosen(parameters), change)
        return images
