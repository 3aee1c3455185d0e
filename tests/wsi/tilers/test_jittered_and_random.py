"""Tiles that do not lie on a grid: reproducible, inside the slide, on tissue."""

from __future__ import annotations

import numpy as np
import pytest

from gigakit.core.errors import ConfigError
from gigakit.registry import TILERS
from gigakit.wsi.resolution import read_window
from gigakit.wsi.slide import open_slide
from gigakit.wsi.tiles import TileTable


@pytest.fixture
def slide(make_pyramid, tissue_image):
    path, _ = make_pyramid(mpp=0.5, downsamples=(1,), image=tissue_image)
    with open_slide(path) as opened:
        yield opened


@pytest.fixture
def mask():
    """Return the tissue of ``tissue_image`` at 1/32 of its size."""
    tissue = np.zeros((64, 80), dtype=bool)
    tissue[16:48, 32:64] = True
    return tissue


CONFIGS = [
    {"type": "JitteredTiler", "moving_distance": 0.5, "overlap": 0.25},
    {"type": "RandomTiler", "tiles": 30},
]


@pytest.mark.parametrize("config", CONFIGS)
def test_places_follow_from_seed_and_name_alone(slide, mask, config):
    first, again = (TILERS.build(config).tile(slide, mask, "a") for _ in range(2))
    np.testing.assert_array_equal(first.grid, again.grid)
    other_seed = TILERS.build({**config, "seed": 1}).tile(slide, mask, "a")
    other_name = TILERS.build(config).tile(slide, mask, "b")
    for other in (other_seed, other_name):
        assert len(other) != len(first) or not np.array_equal(other.grid, first.grid)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("least", [0.1, 0.7])
def test_tiles_lie_inside_and_hold_enough_tissue(slide, mask, config, least, tmp_path):
    table = TILERS.build({**config, "min_occupancy": least}).tile(slide, mask, "a")
    assert len(table) > 10
    for (x, y), occupancy in zip(table.grid * 256, table.occupancy, strict=True):
        assert 0 <= x <= 2560 - 256
        assert 0 <= y <= 2048 - 256
        across = max(0.0, min(x + 256, 2048) - max(x, 1024))
        down = max(0.0, min(y + 256, 1536) - max(y, 512))
        assert occupancy == pytest.approx(across * down / 256**2, abs=1e-6)
        assert occupancy >= least
    np.testing.assert_array_equal(table.coords, np.rint(table.grid * 256))
    table.save(tmp_path / "a.h5")
    kept = TileTable.load(tmp_path / "a.h5")
    choice = kept.choice(slide)
    x, y = kept.grid[3] * 256
    np.testing.assert_array_equal(kept.read(slide, 3), read_window(slide, choice, x, y, 256, 256))


def test_offsets_are_uniform_within_the_moving_distance(slide):
    everywhere = np.ones((64, 80), dtype=bool)
    grid = TILERS.build({"type": "GridTiler", "overlap": 0.75}).tile(slide, everywhere, "a").grid
    moved = TILERS.build({"type": "JitteredTiler", "overlap": 0.75, "moving_distance": 0.3}).tile(
        slide, everywhere, "a"
    )
    inner = ((grid >= 0.3) & (grid <= np.array([8.7, 6.7]))).all(axis=1)
    offsets = (moved.grid - grid)[inner]
    assert np.abs(offsets).max() <= 0.3
    assert np.abs(offsets).max() > 0.29
    # mean and variance of a uniform distribution, within three standard errors
    count = offsets.size
    assert abs(offsets.mean()) < 3 * 0.3 / np.sqrt(3 * count)
    assert offsets.var() == pytest.approx(0.03, rel=0.1)


def test_no_moving_distance_is_the_grid(slide, mask):
    still = TILERS.build({"type": "JitteredTiler", "moving_distance": 0.0})
    grid = TILERS.build({"type": "GridTiler"})
    np.testing.assert_array_equal(
        still.tile(slide, mask, "a").grid, grid.tile(slide, mask, "a").grid
    )


def test_as_many_random_tiles_as_wanted_or_as_there_is_tissue_for(slide, mask):
    for wanted in (1, 17, 2000):
        table = TILERS.build({"type": "RandomTiler", "tiles": wanted}).tile(slide, mask, "a")
        assert len(table) == wanted
    nothing = np.zeros_like(mask)
    assert not len(TILERS.build({"type": "RandomTiler", "tiles": 5}).tile(slide, nothing, "a"))


def test_a_slide_smaller_than_a_tile_has_none(make_pyramid):
    path, _ = make_pyramid(mpp=0.5, downsamples=(1,), size=(200, 300))
    with open_slide(path) as opened:
        for config in CONFIGS:
            table = TILERS.build(config).tile(opened, np.ones((10, 10), dtype=bool), "a")
            assert not len(table)


@pytest.mark.parametrize(
    "config",
    [
        {"type": "JitteredTiler", "moving_distance": 1.5},
        {"type": "JitteredTiler", "overlap": 1.0},
        {"type": "RandomTiler", "tiles": 0},
        {"type": "RandomTiler", "min_occupancy": 2},
    ],
)
def test_values_out_of_range_are_refused(config):
    with pytest.raises(ConfigError):
        TILERS.build(config)
