"""From what a network sees back to pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def pixels_of(images: Tensor, preprocessor: Any) -> np.ndarray:
    """Return normalised images as pixels ``(..., S, S, 3)`` uint8 RGB.

    Args:
        images: ``(..., 3, S, S)``, scaled to [0, 1] and normalised.
        preprocessor: what normalised them, by its ``mean`` and ``std``.
    """
    mean, std = (
        torch.as_tensor(value, dtype=torch.float32).detach().cpu().reshape(3, 1, 1)
        for value in (preprocessor.mean, preprocessor.std)
    )
    scaled = (images.detach().float().cpu() * std + mean) * 255
    pixels: np.ndarray = scaled.round().clamp(0, 255).byte().movedim(-3, -1).numpy()
    return pixels
