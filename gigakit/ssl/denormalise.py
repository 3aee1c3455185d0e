"""From what a network sees back to pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def pixel_values(images: Tensor, preprocessor: Any) -> Tensor:
    """Return normalised images as ``(..., 3, S, S)`` float32 RGB in 0 ... 255, where they are.

    Args:
        images: ``(..., 3, S, S)``, scaled to [0, 1] and normalised.
        preprocessor: what normalised them, by its ``mean`` and ``std``.
    """
    mean, std = (
        torch.as_tensor(value, dtype=torch.float32, device=images.device).reshape(3, 1, 1)
        for value in (preprocessor.mean, preprocessor.std)
    )
    return ((images.detach().float() * std + mean) * 255).clamp(0, 255)


def pixels_of(images: Tensor, preprocessor: Any) -> np.ndarray:
    """Return normalised images as pixels ``(..., S, S, 3)`` uint8 RGB.

    Args:
        images: ``(..., 3, S, S)``, scaled to [0, 1] and normalised.
        preprocessor: what normalised them, by its ``mean`` and ``std``.
    """
    values = pixel_values(images.cpu(), preprocessor)
    pixels: np.ndarray = values.round().byte().movedim(-3, -1).numpy()
    return pixels
