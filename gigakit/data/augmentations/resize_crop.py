"""The pixels of a labelled tile, at an encoder's size."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gigakit.core.errors import ConfigError
from gigakit.registry import AUGMENTATIONS


@AUGMENTATIONS.register_module()
class ResizeCrop:
    """Resize the shorter side and crop the centre; values stay 8-bit.

    ``EvaluationTransform`` does the same and normalises; here the model's preprocessor does.

    Args:
        size_px: side of the central square.
        resize_px: shorter side after resizing (bicubic, antialiased); ``None`` is ``size_px``, as
            eva does it. Prov-GigaPath has 256 for 224.

    Raises:
        ConfigError: the crop is larger than the resized tile.

    Source: eva's evaluation of pathology encoders: resize, then crop the centre.
    """

    def __init__(self, *, size_px: int = 224, resize_px: int | None = None) -> None:
        self.size_px, self.resize_px = size_px, resize_px or size_px
        if not 1 <= self.size_px <= self.resize_px:
            raise ConfigError(
                f"size_px {size_px} exceeds resize_px {resize_px}, or is not positive",
                where="ResizeCrop",
            )

    def __call__(self, pixels: np.ndarray) -> Tensor:
        """Turn a tile ``(H, W, 3)`` uint8 into ``(3, size_px, size_px)`` uint8."""
        image = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)
        height, width = image.shape[1:]
        if min(height, width) != self.resize_px:
            scale = self.resize_px / min(height, width)
            size = (max(1, round(height * scale)), max(1, round(width * scale)))
            image = functional.interpolate(image[None], size=size, mode="bicubic", antialias=True)[
                0
            ]
        top, left = ((side - self.size_px) // 2 for side in image.shape[1:])
        return image[:, top : top + self.size_px, left : left + self.size_px].contiguous()
