"""Pictures of attention: the tile that is attended to is the one that is lit."""

from __future__ import annotations

import numpy as np
import pytest

from gigakit.tasks.attention_pictures import (
    attention_picture,
    beside,
    pattern_picture,
    reach_picture,
    weight_colours,
)
from gigakit.wsi.tiles import TileTable

GRID = np.array([[float(i % 4), float(i // 4)] for i in range(12)])
STRIP = 44


def lightness(picture):
    return picture.astype(int).sum(axis=-1)


def test_colours_get_lighter_with_the_weight():
    colours = weight_colours(np.linspace(0, 1, 50), 1.0)
    assert np.all(np.diff(lightness(colours)) >= 0)
    assert np.array_equal(weight_colours(np.array([5.0]), 1.0), colours[-1:])
    assert np.array_equal(weight_colours(np.array([0.0]), 0.0), colours[:1])


def test_one_attended_tile_is_lit_on_the_grid():
    weights = np.zeros(12)
    weights[6] = 1.0
    picture = attention_picture(weights, GRID)[STRIP:]
    cell = 14
    lit = lightness(picture[: 3 * cell, : 4 * cell])[cell // 2 :: cell, cell // 2 :: cell]
    assert np.unravel_index(lit.argmax(), lit.shape) == (1, 2)
    assert len(np.unique(lit)) == 2


def test_one_attended_tile_is_lit_on_the_overview():
    weights = np.zeros(12)
    weights[6] = 1.0
    table = TileTable.from_grid("slide", GRID)
    table.attrs["slide_size"] = (256 * 4, 256 * 4)
    overview = np.full((400, 400, 3), 255, np.uint8)
    picture = attention_picture(weights, GRID, overview=overview, table=table)[STRIP:]
    light = lightness(picture)
    # below the tiles nothing is drawn
    assert np.all(picture[310:] == 255)
    inside = light[5:295, 5:395]
    y, x = np.unravel_index(inside.argmax(), inside.shape)
    assert (y + 5) // 100 == 1
    assert (x + 5) // 100 == 2


@pytest.mark.parametrize("tiles", [1, 300])
def test_titles_and_bars_fit_whatever_the_slide(tiles):
    grid = np.stack([np.arange(tiles), np.zeros(tiles)], axis=1).astype(float)
    picture = attention_picture(np.full(tiles, 1 / tiles), grid)
    assert picture.shape[1] >= 300
    assert picture.shape[0] == STRIP + 14
    # the bar's text stays inside
    assert np.all(picture[:STRIP, -2:] == 255)


def test_reach_and_pattern_count_heads():
    reach = reach_picture(np.arange(12), 16, GRID, "heads")[STRIP:]
    cells = lightness(reach[: 3 * 14, : 4 * 14])[7::14, 7::14]
    assert np.all(np.diff(cells.reshape(-1)) >= 0)
    pattern = pattern_picture(np.eye(8) * 16, 16, 8)[STRIP:, :384]
    cells = lightness(pattern)[24::48, 24::48]
    assert np.array_equal(cells == cells.max(), np.eye(8, dtype=bool))


def test_pictures_stand_beside_each_other():
    both = beside(np.zeros((10, 20, 3), np.uint8), np.zeros((30, 5, 3), np.uint8))
    assert both.shape == (30, 20 + 16 + 5 + 16, 3)
    assert np.all(both[11:, :20] == 255)
