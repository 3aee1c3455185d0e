"""Labelled tiles at an encoder's size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gigakit.core.errors import ConfigError
from gigakit.registry import AUGMENTATIONS


def build(**changes):
    return AUGMENTATIONS.build({"type": "ResizeCrop", **changes})


def test_the_same_pixels_as_the_published_pipeline(smooth):
    tile = smooth(256)
    ours = build(size_px=224, resize_px=240)(tile).float() / 255
    both = {"mean": (0, 0, 0), "deviation": (1, 1, 1)}
    theirs = AUGMENTATIONS.build(
        {"type": "EvaluationTransform", "resize_px": 240, "crop_px": 224, **both}
    )(tile)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1.5 / 255)


def test_the_centre_of_a_long_tile_stays():
    tile = np.zeros((20, 60, 3), dtype=np.uint8)
    tile[:, 20:40] = 200
    view = build(size_px=20)(tile)
    assert view.dtype == torch.uint8
    assert view.shape == (3, 20, 20)
    assert (view == 200).all()
    assert build(size_px=40)(tile).shape == (3, 40, 40)


def test_a_crop_larger_than_the_tile_is_refused():
    with pytest.raises(ConfigError, match="size_px 224 exceeds resize_px 200"):
        build(resize_px=200)
