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


@pytest.mark.parametrize("name", ["CropWindow", "CropFraction", "FlipGrid", "ShiftGrid"])
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


def test_shift_is_uniform_over_all_places_of_the_grid():
    grid = np.array([[2.0, 5.0], [4.5, 5.0]])
    shift = AUGMENTATIONS.build({"type": "ShiftGrid", "grid_size": 8})
    places = np.array(
        [
            shift(SlideSample(np.zeros((2, 1), np.float32), grid), random_generator(5, n)).grid[0]
            for n in range(4800)
        ]
    )
    # columns 2 to 4.5 may begin at 0 to 5, row 5 may lie in 0 to 7
    for axis, cells in ((0, 6), (1, 8)):
        values, counts = np.unique(places[:, axis], return_counts=True)
        assert values.tolist() == list(range(cells))
        assert np.abs(counts * cells / 4800 - 1).max() < 0.15


@pytest.mark.parametrize("cells", [0, 1, 3])
def test_shift_may_be_held_near(slide, cells):
    shift = AUGMENTATIONS.build({"type": "ShiftGrid", "max_cells": cells})
    moves = {tuple((shift(slide, random_generator(4, n)).grid - slide.grid)[0]) for n in range(400)}
    near = range(-cells, cells + 1)
    assert moves == {(x, y) for x in near for y in near}


def test_a_slide_outside_the_grid_is_brought_in_however_far():
    shift = AUGMENTATIONS.build({"type": "ShiftGrid", "grid_size": 10, "max_cells": 1})
    for column, expected in ((-4.0, {0.0, 1.0}), (14.0, {8.0, 9.0}), (0.0, {0.0, 1.0})):
        # by one cell at most beyond what is needed
        outside = SlideSample(np.zeros((1, 1), np.float32), np.array([[column, 3.0]]))
        moved = {shift(outside, random_generator(6, n)).grid[0, 0] for n in range(60)}
        assert moved <= expected


@pytest.mark.parametrize(("length", "kept"), [(200, 175), (8, 7), (1, 1), (100, 87)])
def test_crop_fraction_keeps_a_run_of_the_sequence(length, kept):
    whole = SlideSample(np.arange(length, dtype=np.float32)[:, None], np.zeros((length, 2)))
    crop = AUGMENTATIONS.build({"type": "CropFraction"})
    starts = set()
    for draw in range(200):
        tiles = crop(whole, random_generator(8, draw)).features[:, 0]
        assert tiles.tolist() == list(range(int(tiles[0]), int(tiles[0]) + kept))
        starts.add(tiles[0])
    assert {0, length - kept} <= starts


def test_crop_fraction_may_keep_a_subset_in_the_old_order(slide):
    crop = AUGMENTATIONS.build({"type": "CropFraction", "ratio": 0.29, "keep": "subset"})
    seen = np.zeros(200)
    for draw in range(300):
        tiles = crop(slide, random_generator(9, draw)).features[:, 0].astype(int)
        assert len(tiles) == 58
        assert np.all(np.diff(tiles) > 0)
        seen[tiles] += 1
    # each tile as often as any other
    assert np.abs(seen / 300 - 0.29).max() < 0.12


@pytest.mark.parametrize("by", ["rows", "hilbert", "random"])
def test_an_order_keeps_tiles_positions_and_masks_together(slide, by):
    mask = np.arange(200) % 3 == 0
    order = AUGMENTATIONS.build({"type": "TileOrder", "by": by})
    shuffled = SlideSample(slide.features, slide.grid, mask).take(
        random_generator(0).permutation(200)
    )
    out = order(shuffled, random_generator(1))
    tiles = out.features[:, 0].astype(int)
    assert sorted(tiles) == list(range(200))
    assert np.array_equal(out.grid, slide.grid[tiles])
    assert np.array_equal(out.token_mask, mask[tiles])
    # rows is how the fixture is laid out
    assert (tiles.tolist() == list(range(200))) == (by == "rows")


def test_rows_of_a_flipped_slide_run_from_left_to_right_again(slide):
    flipped = AUGMENTATIONS.build({"type": "FlipGrid", "p": 1.0})(slide, random_generator(0))
    out = AUGMENTATIONS.build({"type": "TileOrder"})(flipped, random_generator(0))
    assert np.array_equal(out.grid, slide.grid)
    assert not np.array_equal(out.features, slide.features)


@pytest.mark.parametrize(("side", "step"), [(4, 1.0), (16, 1.0), (8, 0.5)])
def test_hilberts_curve_goes_from_tile_to_tile_beside_it(side, step):
    columns, rows = np.meshgrid(np.arange(side), np.arange(side))
    grid = np.stack([columns.ravel(), rows.ravel()], axis=1) * step + 5
    square = SlideSample(np.zeros((side**2, 1), np.float32), grid)
    order = AUGMENTATIONS.build({"type": "TileOrder", "by": "hilbert"})
    steps = np.abs(np.diff(order(square, random_generator(0)).grid, axis=0)).sum(axis=1)
    assert np.array_equal(steps, np.full(side**2 - 1, step))


def test_a_slide_larger_than_the_grid_is_refused(slide):
    shift = AUGMENTATIONS.build({"type": "ShiftGrid", "grid_size": 8})
    with pytest.raises(ConfigError, match="does not fit grid_size 8"):
        shift(slide, random_generator(0))


@pytest.mark.parametrize(
    "config",
    [
        {"type": "CropWindow", "ratio": 0.0},
        {"type": "CropWindow", "ratio": 1.2},
        {"type": "CropFraction", "ratio": 0.0},
        {"type": "CropFraction", "keep": "some"},
        {"type": "TileOrder", "by": "columns"},
        {"type": "FlipGrid", "p": -0.1},
        {"type": "ShiftGrid", "max_cells": -1},
        {"type": "ShiftGrid", "grid_size": 0},
    ],
)
def test_values_out_of_range_are_refused(config):
    with pytest.raises(ConfigError):
        AUGMENTATIONS.build(config)
