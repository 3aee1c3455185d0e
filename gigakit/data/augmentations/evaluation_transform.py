"""The pixels a tile encoder sees when it embeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gigakit.core.errors import ConfigError
from gigakit.registry import AUGMENTATIONS

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


@AUGMENTATIONS.register_module()
class EvaluationTransform:
    """Resize the shorter side, crop the centre, scale to [0, 1] and normalise.

    Args:
        resize_px: shorter side after resizing (bicubic, antialiased); a tile that has it already is
            not touched. The published pipeline uses 256.
        crop_px: side of the central square; 224 in the published pipeline, so that an encoder sees
            the central 112 µm of a 128-µm tile.
        mean: per channel, subtracted after scaling; ImageNet's by default.
        deviation: per channel, divided by; ImageNet's by default.

    Raises:
        ConfigError: the crop is larger than the resized tile.

    Source: Prov-GigaPath's released pipeline (resize 256 bicubic, centre-crop 224, ImageNet mean
        and standard deviation).
    """

    def __init__(
        self,
        *,
        resize_px: int = 256,
        crop_px: int = 224,
        mean: Sequence[float] = IMAGENET_MEAN,
        deviation: Sequence[float] = IMAGENET_DEVIATION,
    ) -> None:
        if crop_px > resize_px:
            raise ConfigError(
                f"crop_px {crop_px} exceeds resize_px {resize_px}", where="EvaluationTransform"
            )
        self.resize_px = resize_px
        self.crop_px = crop_px
        self.mean = torch.tensor(mean).view(3, 1, 1)
        self.deviation = torch.tensor(deviation).view(3, 1, 1)

    def __call__(self, pixels: np.ndarray) -> Tensor:
        """Turn a tile ``(H, W, 3)`` uint8 RGB into ``(3, crop_px, crop_px)`` float32."""
        image = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).float()
        height, width = image.shape[1:]
        if min(height, width) != self.resize_px:
            scale = self.resize_px / min(height, width)
            size = (max(1, round(height * scale)), max(1, round(width * scale)))
            image = functional.interpolate(image[None], size=size, mode="bicubic", antialias=True)[
                0
            ].clamp(0, 255)
        top, left = ((side - self.crop_px) // 2 for side in image.shape[1:])
        image = image[:, top : top + self.crop_px, left : left + self.crop_px]
        return (image / 255 - self.mean) / self.deviation
