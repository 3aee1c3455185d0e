"""Augmentations of a slide's sequence: geometry, extent and randomness."""

from __future__ import annotations

import numpy as np
import pytest

from gigakit.core.errors import ConfigError
from gigakit.core.seeding import random_generator
from gigakit.data.slide_sample import SlideSample
from gigakit.registry import AUGMENTATIONS


@pytest.fixture
def slide() -> SlideSample:
    columns, rows = np.meshgrid(np.arange(5, 25), np.arange(3, 13))
    grid = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float64)
    return SlideSample(np.arange(200, dtype=np.float32)[:, None], grid)


@pytest.mark.parametrize("name", ["CropWindow", "FlipGrid", "ShiftGrid"])
def test_a_draw_is_repeated_by_its_seed_and_leaves_the_input_alone(name, slide):
    augment = AUGMENTATIONS.build({"type": name})
    before = slide.grid.copy()
    first, second = (augment(slide, random_generator(7, 1)) for _ in range(2))
    assert np.array_equal(first.grid, second.grid)
    assert np.array_equal(first.features, second.features)
    assert np.array_equal(slide.grid, before)


def test_crop_window_keeps_whole_rows_of_the_box_and_the_order(slide):
    augment = AUGMENTATIONS.build({"type": "CropWindow", "ratio": 0.5})
    corners = set()
    for draw in range(50):
        cropped = augment(slide, random_generator(0, draw))
        extent = cropped.grid.max(axis=0) - cropped.grid.min(axis=0) + 1
        assert np.all(np.abs(extent - [10, 5]) <= 1)
        assert len(cropped) == extent.prod()
        assert np.all(np.diff(cropped.features[:, 0]) > 0)
        corners.add(tuple(cropped.grid.min(axis=0)))
    assert len(corners) > 10


def test_crop_window_of_a_ring_leaves_it_whole():
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    grid = np.rint(np.stack([np.cos(angles), np.sin(angles)], axis=1) * 50 + 50)
    ring = SlideSample(np.zeros((40, 2), np.float32), grid)
    augment = AUGMENTATIONS.build({"type": "CropWindow", "ratio": 0.01})
    for draw in range(20):
        assert len(augment(ring, random_generator(1, draw))) >= 1


def test_crop_window_of_ratio_one_keeps_everything(slide):
    augment = AUGMENTATIONS.build({"type": "CropWindow", "ratio": 1.0})
    assert len(augment(slide, random_generator(0))) == len(slide)


def test_flip_mirrors_columns_within_the_slide_and_is_its_own_inverse(slide):
    flip = AUGMENTATIONS.build({"type": "FlipGrid", "p": 1.0})
    once = flip(slide, random_generator(0))
    assert np.array_equal(once.grid[:, 1], slide.grid[:, 1])
    assert np.array_equal(once.grid[:, 0], 29 - slide.grid[:, 0])
    assert np.array_equal(flip(once, random_generator(0)).grid, slide.grid)


def test_flip_happens_about_half_the_time(slide):
    flip = AUGMENTATIONS.build({"type": "FlipGrid"})
    flipped = sum(
        not np.array_equal(flip(slide, random_generator(3, n)).grid, slide.grid) for n in range(400)
    )
    assert 160 < flipped < 240


def test_shift_reaches_both_ends_and_stays_inside(slide):
    shift = AUGMENTATIONS.build({"type": "ShiftGrid", "grid_size": 30})
    columns = set()
    for draw in range(300):
        moved = shift(slide, random_generator(0, draw)).grid
        assert moved.min() >= 0
        assert moved.max() <= 29
        assert np.array_equal(moved - moved[0], slide.grid - slide.grid[0])
        columns.add(moved[:, 0].min())
    assert columns == set(range(11))


def test_shift_keeps_fractions_of_overlapping_tiles():
    grid = np.array([[0.25, 0.5], [1.75, 2.0]])
    shift = AUGMENTATIONS.build({"type": "ShiftGrid", "grid_size": 4})
    for draw in range(40):
        moved = shift(SlideSample(np.zeros((2, 1), np.float32), grid), random_generator(2, draw))
        assert np.array_equal(moved.grid % 1, grid % 1)
        assert moved.grid.max() < 4
        assert moved.grid.min() >= 0


def test_a_slide_larger_than_the_grid_is_refused(slide):
    shift = AUGMENTATIONS.build({"type": "ShiftGrid", "grid_size": 8})
    with pytest.raises(ConfigError, match="does not fit grid_size 8"):
        shift(slide, random_generator(0))


@pytest.mark.parametrize(
    "config",
    [
        {"type": "CropWindow", "ratio": 0.0},
        {"type": "CropWindow", "ratio": 1.2},
        {"type": "FlipGrid", "p": -0.1},
        {"type": "ShiftGrid", "grid_size": 0},
    ],
)
def test_values_out_of_range_are_refused(config):
    with pytest.raises(ConfigError):
        AUGMENTATIONS.build(config)
