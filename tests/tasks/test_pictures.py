"""Pictures of embeddings."""

from __future__ import annotations

import numpy as np
import pytest

from gigakit.tasks.pictures import embedding_colours, grid_picture, reconstruction_picture


def test_colours_order_tiles_along_the_first_component():
    line = np.linspace(0, 1, 11)[:, None] * np.array([[3.0, 1.0, 0.0, 2.0]])
    colours = embedding_colours(line, line)
    assert np.all(np.diff(colours[:, 0].astype(int)) >= 0)
    assert colours[0, 0] == 0
    assert colours[-1, 0] == 255


def test_fewer_components_than_colours_leave_grey():
    colours = embedding_colours(np.array([[0.0], [1.0]]), np.array([[0.0], [1.0]]))
    assert np.array_equal(colours[:, 1:], np.full((2, 2), 128))


@pytest.mark.parametrize("stride", [1.0, 0.5])
def test_grid_picture_places_each_tile_in_its_cell(stride):
    grid = np.array([[3.0, 7.0], [3.0 + stride, 7.0], [3.0, 7.0 + 2 * stride]])
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=np.uint8)
    picture = grid_picture(grid, colours, cell_px=4)
    assert picture.shape == (12, 8, 3)
    assert picture[0, 0].tolist() == [255, 0, 0]
    assert picture[0, 7].tolist() == [0, 255, 0]
    assert picture[11, 0].tolist() == [0, 0, 255]
    assert picture[5, 0].tolist() == [255, 255, 255]


def test_tiles_off_a_lattice_make_no_huge_picture():
    columns, rows = np.meshgrid(np.arange(12.0), np.arange(10.0))
    grid = np.stack([columns.ravel(), rows.ravel()], axis=1)
    grid += np.random.default_rng(0).uniform(-0.4, 0.4, grid.shape)
    picture = grid_picture(grid, np.zeros((len(grid), 3), np.uint8), cell_px=1)
    assert abs(picture.shape[0] - 11) <= 2
    assert abs(picture.shape[1] - 13) <= 2
    # few hide another
    assert (picture == 0).all(axis=2).sum() > 0.6 * len(grid)


def test_reconstruction_shows_predictions_only_where_tiles_were_hidden():
    generator = np.random.default_rng(0)
    features = generator.standard_normal((20, 6))
    grid = np.stack([np.arange(20) % 5, np.arange(20) // 5], axis=1).astype(float)
    mask = np.zeros(20, dtype=bool)
    mask[7] = True
    same = reconstruction_picture(features, features, mask, grid)
    other = reconstruction_picture(features, features[::-1], mask, grid)
    third = same.shape[1] // 3
    changed = np.argwhere((same != other).any(axis=2))
    assert len(changed) == 14 * 14
    assert changed[:, 1].min() > 2 * third
