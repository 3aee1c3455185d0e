"""Random brightness, contrast, saturation and hue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gigakit.core.errors import ConfigError
from gigakit.data.photometric import Chance, change_rows, chosen, grey_of, per_image, with_flag
from gigakit.registry import AUGMENTATIONS

_CHANGES = 4
_FIRST_ORDER = 1 + _CHANGES


@AUGMENTATIONS.register_module()
class ColorJitter:
    """Change brightness, contrast, saturation and hue, in an order drawn for each view.

    Formulas, each limited to 0 ... 255, with ``g`` the grey of a pixel and ``G`` its mean over the
    view: brightness ``b x``, contrast ``c x + (1 - c) G``, saturation ``s x + (1 - s) g``, and hue,
    which turns the angle of the HSV colour by ``h`` of a full turn. Factors are uniform in
    ``1 +- strength``, ``h`` in ``+- hue``.

    Args:
        brightness: strength, 0 to 1; DINOv2 0.4, weak jitter of tissue 0.2.
        contrast: strength, 0 to 1; DINOv2 0.4, weak 0.2.
        saturation: strength, 0 to 1; DINOv2 0.2, weak 0.1.
        hue: largest turn, 0 to 0.5; DINOv2 0.1, weak 0.05.
        p: probability per view, or one each for the first global, further global and local views.

    Raises:
        ConfigError: a strength or probability that cannot be.

    Source: DINOv2's data augmentation as released, with torchvision's four operations.
    Differs: intermediate values are not rounded to whole grey levels.
    """

    def __init__(
        self,
        *,
        brightness: float = 0.4,
        contrast: float = 0.4,
        saturation: float = 0.2,
        hue: float = 0.1,
        p: float | Sequence[float] = 0.8,
    ) -> None:
        given = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
        for name, strength in (given | {"hue": hue}).items():
            largest = 0.5 if name == "hue" else 1.0
            if not 0.0 <= strength <= largest:
                raise ConfigError(
                    f"got {strength}", where=f"ColorJitter.{name}", fix=f"give 0 to {largest:g}"
                )
        self.strengths = np.array([*given.values(), hue])
        self.chance = Chance(p, "ColorJitter")

    def draw(self, generator: np.random.Generator, crops: int, global_crops: int = 2) -> np.ndarray:
        """Return ``(crops, 9)``: whether, three factors, the turn, and the order of the four."""
        changed = self.chance.draw(generator, crops, global_crops)
        amounts = (2 * generator.random((crops, _CHANGES)) - 1) * self.strengths + (1, 1, 1, 0)
        # the order of four random numbers is a random order
        order = generator.random((crops, _CHANGES)).argsort(axis=1)
        return with_flag(changed, amounts, order)

    def apply(self, images: Tensor, parameters: Tensor) -> Tensor:
        """Change the views drawn; see :class:`gigakit.data.photometric.Photometric`."""

        def change(views: Tensor, rows: Tensor) -> Tensor:
            return _jitter(views, parameters[rows])

        change_rows(images, chosen(parameters), change)
        return images


def _jitter(views: Tensor, parameters: Tensor) -> Tensor:
    # lists, since many small tensors would take longer than the changes of small views
    orders = parameters[:, _FIRST_ORDER:].int().tolist()
    for step in range(_CHANGES):
        for kind, change in enumerate((_brighten, _contrast, _saturate, turn_hue)):
            rows = [row for row, order in enumerate(orders) if order[step] == kind]
            if not rows:
                continue
            amount = per_image(parameters[rows, 1 + kind], views)
            if len(rows) == len(views):
                views = change(views, amount)
            else:
                index = torch.tensor(rows).to(views.device, non_blocking=True)
                views.index_copy_(0, index, change(views.index_select(0, index), amount))
    return views


def _brighten(views: Tensor, factor: Tensor) -> Tensor:
    return views.mul_(factor).clamp_(0, 255)


def _contrast(views: Tensor, factor: Tensor) -> Tensor:
    # grey is linear, so its mean is the grey of the mean colour
    mean = grey_of(views.mean(dim=(2, 3), keepdim=True))
    return views.mul_(factor).add_(mean.mul_(1 - factor)).clamp_(0, 255)


def _saturate(views: Tensor, factor: Tensor) -> Tensor:
    grey = grey_of(views)
    return views.mul_(factor).add_(grey.mul_(1 - factor)).clamp_(0, 255)


def turn_hue(views: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue of HSV colours.

    Value and chroma stay, so each channel is ``least + chroma * clamp(||h - peak| - 3| - 1, 0, 1)``
    with the hue ``h`` in sixths of a turn and peaks 0, 2 and 4 of red, green and blue.

    Args:
        views: ``(N, 3, H, W)``.
        turn: ``(N, 1, 1, 1)`` in full turns.
    """
    red, green, blue = views.chunk(3, dim=1)
    greatest, least = views.amax(1, keepdim=True), views.amin(1, keepdim=True)
    chroma = greatest - least
    # a grey pixel has no hue and gets none, since its chroma is 0
    inverse = chroma.clamp_min(1e-6).reciprocal_()
    # masks as numbers: choosing by them is several times faster on a CPU than torch.where
    hue = (red - green).mul_(inverse).add_(4)
    hue.lerp_((blue - red).mul_(inverse).add_(2), green.clone().eq_(greatest))
    hue.lerp_((green - blue).mul_(inverse), red.clone().eq_(greatest))
    hue.add_(turn, alpha=6)
    # the hue is in -4 ... 8 here, so one fold does; a remainder is dearer
    hue.sub_((hue / 6).floor_(), alpha=6)
    for channel, peak in zip((red, green, blue), (0, 2, 4), strict=True):
        torch.sub(hue, peak, out=channel)
        channel.abs_().sub_(3).abs_().sub_(1).clamp_(0, 1).mul_(chroma).add_(least)
    return views
