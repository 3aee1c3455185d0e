"""What a tile encoder sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gigakit.core.errors import ConfigError
from gigakit.registry import AUGMENTATIONS


def test_a_tile_of_the_right_size_is_cropped_and_normalised_exactly():
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    out = AUGMENTATIONS.build({"type": "EvaluationTransform"})(pixels)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = (pixels[16:240, 16:240] / 255 - mean) / deviation
    assert out.shape == (3, 224, 224)
    assert np.abs(out.permute(1, 2, 0).numpy() - expected).max() < 1e-6


def test_another_size_is_resized_by_its_shorter_side():
    transform = AUGMENTATIONS.build(
        {"type": "EvaluationTransform", "mean": (0, 0, 0), "deviation": (1, 1, 1)}
    )
    wide = np.zeros((128, 300, 3), dtype=np.uint8)
    wide[:, 150:] = 255
    out = transform(wide)
    assert out.shape == (3, 224, 224)
    assert out.min() >= 0
    assert out.max() <= 1
    assert torch.all(out[:, :, :108] < 0.01)
    assert torch.all(out[:, :, 116:] > 0.99)


def test_a_crop_larger_than_the_tile_is_refused():
    with pytest.raises(ConfigError, match="exceeds resize_px"):
        AUGMENTATIONS.build({"type": "EvaluationTransform", "crop_px": 300})
