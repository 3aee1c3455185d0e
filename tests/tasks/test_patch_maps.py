"""Colours of patch tokens: foreground, components, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest

from gigakit.core.errors import ConfigError
from gigakit.tasks.patch_maps import patch_colours, patch_picture, stacked

GREY = 235


def scene(width=16, seed=0):
    """Two tiles of 36 patches: half of them tissue, of two kinds, in a turned space."""
    generator = np.random.default_rng(seed)
    tissue = np.arange(72) % 36 < 18
    kind = np.arange(72) % 2 == 0
    values = np.zeros((72, width))
    values[:, 0] = np.where(tissue, 5.0, -5.0)
    values[:, 1] = np.where(tissue, np.where(kind, 2.0, -2.0), 0.0)
    values += 0.05 * generator.normal(size=values.shape)
    turned, _ = np.linalg.qr(generator.normal(size=(width, width)))
    darkness = np.where(tissue, 120.0, 10.0).reshape(2, 36)
    return (values @ turned).reshape(2, 36, width), darkness, tissue, kind


def test_the_dark_side_of_the_first_component_is_coloured_by_the_next():
    patches, darkness, tissue, kind = scene()
    colours = patch_colours(patches, darkness).reshape(72, 3)
    assert (colours[~tissue] == GREY).all()
    red = colours[:, 0].astype(int)
    assert abs(red[tissue & kind].mean() - red[tissue & ~kind].mean()) > 200
    for channel in range(3):
        assert colours[tissue, channel].min() == 0
        assert colours[tissue, channel].max() == 255


def test_neither_sign_nor_rotation_of_the_features_matters():
    patches, darkness, _, _ = scene()
    turned, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(16, 16)))
    expected = patch_colours(patches, darkness).astype(int)
    for other in (-patches, patches @ turned, patches + 3.0):
        assert np.abs(patch_colours(other, darkness).astype(int) - expected).max() <= 1


def test_few_channels_and_equal_tokens_are_drawn_too():
    patches, darkness, tissue, _ = scene(width=2)
    colours = patch_colours(patches, darkness).reshape(72, 3)
    assert (colours[~tissue] == GREY).all()
    assert patch_colours(np.ones((2, 4, 8)), np.ones((2, 4))).shape == (2, 4, 3)


def test_the_picture_has_a_column_a_tile():
    tiles = np.zeros((2, 24, 24, 3), np.uint8)
    patches, *_ = scene()
    picture = patch_picture(tiles, patches, side_px=60)
    assert picture.shape == (2 * 64, 2 * 64, 3)
    with pytest.raises(ConfigError, match="35 patches form no square"):
        patch_picture(tiles, patches[:, :35])


def test_pictures_of_unequal_size_are_put_on_white():
    wide, high = np.zeros((4, 9, 3), np.uint8), np.zeros((7, 2, 3), np.uint8)
    assert stacked([wide, high], axis=0).shape == (4 + 7 + 8, 9, 3)
    assert stacked([wide, high], axis=1).shape == (7, 9 + 2 + 8, 3)
    assert (stacked([wide, high], axis=1)[4:, :9] == 255).all()
