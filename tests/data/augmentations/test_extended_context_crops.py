"""Views that keep the size of cells."""

from __future__ import annotations

import numpy as np
import pytest

from gigakit.core.errors import ConfigError
from gigakit.core.seeding import random_generator
from gigakit.registry import AUGMENTATIONS


def build(**changes):
    return AUGMENTATIONS.build({"type": "ExtendedContextCrops", **changes})


def test_boxes_have_about_the_views_size_and_reach_the_whole_field():
    boxes = build()._boxes(random_generator(0), 4000, (392, 392), 224)
    top, left, height, width = boxes.T
    area, ratio = height * width / 224**2, width / height
    assert 0.89 < area.min() < 0.91
    assert 1.09 < area.max() < 1.11
    assert area.mean() == pytest.approx(1.0, abs=0.005)
    assert 0.94 < ratio.min() < 0.96
    assert 1.04 < ratio.max() < 1.06
    assert (top.min(), left.min()) == (0, 0)
    assert (top + height).max() == (left + width).max() == 392


def test_a_disc_keeps_its_size():
    rows, columns = np.mgrid[:392, :392]
    # discs of 12 px in diameter, 28 px apart
    dark = ((rows % 28 - 14) ** 2 + (columns % 28 - 14) ** 2) < 36
    field = np.where(dark[..., None], 0, 255).astype(np.uint8).repeat(3, axis=2)
    views = build()(field, random_generator(3))
    shares = [(255 - views[name].float()).mean() / 255 for name in views]
    assert shares == pytest.approx([dark.mean()] * 2, abs=0.02)
    assert views["global_crops"].shape == (2, 3, 224, 224)
    assert views["local_crops"].shape == (8, 3, 96, 96)


def test_a_field_smaller_than_a_box_is_refused():
    tile = np.zeros((224, 256, 3), dtype=np.uint8)
    with pytest.raises(ConfigError, match=r"256 x 224 px is smaller than a crop may be, 241 px"):
        build()(tile, random_generator(0))
    with pytest.raises(ConfigError, match=r"ExtendedContextCrops\.scale"):
        build(scale=(0, 1))
