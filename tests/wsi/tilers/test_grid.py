"""Tiles on a grid: known answers, borders, overlap."""

from __future__ import annotations

import numpy as np
import pytest

from gigakit.core.errors import ConfigError
from gigakit.registry import TILERS
from gigakit.wsi.occupancy import tissue_fraction
from gigakit.wsi.slide import open_slide


def build(**changes):
    return TILERS.build({"type": "GridTiler", **changes})


def test_fractions_are_exact_at_fractional_borders():
    mask = np.zeros((10, 10), dtype=bool)
    mask[:, 3:] = True
    corners = np.array([[0.0, 0.0], [200.0, 0.0], [250.0, 500.0], [300.0, 0.0]])
    found = tissue_fraction(mask, corners, (100.0, 100.0), (1000, 1000))
    assert found == pytest.approx([0.0, 0.0, 0.5, 1.0], abs=1e-12)
    thirds = tissue_fraction(mask, np.array([[270.0, 0.0]]), (90.0, 33.0), (1000, 1000))
    assert thirds == pytest.approx([60 / 90], abs=1e-9)


def test_fractions_equal_a_count_of_pixels():
    generator = np.random.default_rng(0)
    mask = generator.random((64, 48)) < 0.4
    corners = np.stack([generator.integers(0, 40, 50), generator.integers(0, 56, 50)], axis=1)
    found = tissue_fraction(mask, corners.astype(float), (8.0, 8.0), (48, 64))
    counted = [mask[y : y + 8, x : x + 8].mean() for x, y in corners]
    assert found == pytest.approx(counted, abs=1e-9)


def test_tiles_are_row_major_whole_and_where_their_grid_says(make_pyramid):
    path, _ = make_pyramid(mpp=0.5, downsamples=(1,), size=(1100, 900))
    with open_slide(path) as slide:
        table = build().tile(slide, np.ones((56, 69), dtype=bool), "s")
    assert table.attrs["cells"] == len(table) == 4 * 3
    assert table.grid.tolist() == [[x, y] for y in range(3) for x in range(4)]
    assert np.array_equal(table.coords, table.grid * 256)
    assert (table.coords + 256 <= [1100, 900]).all()


@pytest.mark.parametrize(("overlap", "columns", "rows"), [(0.0, 4, 3), (0.5, 7, 6), (0.75, 14, 11)])
def test_overlap_adds_tiles_in_between(make_pyramid, overlap, columns, rows):
    path, _ = make_pyramid(mpp=0.5, downsamples=(1,), size=(1100, 900))
    with open_slide(path) as slide:
        table = build(overlap=overlap).tile(slide, np.ones((56, 69), dtype=bool), "s")
    assert len(table) == columns * rows
    assert np.diff(np.unique(table.grid[:, 0])) == pytest.approx(1 - overlap)
    assert (table.coords + 256 <= [1100, 900]).all()


def test_occupancy_is_kept_from_its_threshold_on(make_pyramid):
    path, _ = make_pyramid(mpp=0.5, downsamples=(1,), size=(1024, 512))
    mask = np.zeros((32, 64), dtype=bool)
    mask[0:16, 0:2] = True  # 2 of 16 columns of the first tile: 0.125
    mask[0:16, 16:18] = True
    mask[0, 16:18] = False  # a little less in the second
    with open_slide(path) as slide:
        assert len(build(min_occupancy=0.125).tile(slide, mask, "s")) == 1
        table = build(min_occupancy=0.1).tile(slide, mask, "s")
    assert table.occupancy == pytest.approx([0.125, 0.1171875])


def test_a_slide_smaller_than_a_tile_has_none(make_pyramid):
    path, _ = make_pyramid(mpp=0.5, downsamples=(1,), size=(200, 900))
    with open_slide(path) as slide:
        assert len(build().tile(slide, np.ones((56, 12), dtype=bool), "s")) == 0


def test_resampled_tiles_keep_exact_footprints(make_pyramid):
    path, _ = make_pyramid(mpp=0.28, downsamples=(1,), size=(4000, 600))
    with open_slide(path) as slide:
        table = build().tile(slide, np.ones((20, 140), dtype=bool), "s")
        side = 256 * 0.5 / slide.mpp[0]
    assert table.footprint[0] == pytest.approx(side)
    assert len(table) == int(4000 / side)
    assert np.abs(table.coords[:, 0] - table.grid[:, 0] * side).max() <= 0.5
    assert table.attrs["resampling"] == "area"


@pytest.mark.parametrize(
    "wrong", [{"overlap": 1.0}, {"min_occupancy": 1.5}, {"tile_size_px": 0}, {"target_mpp": 0}]
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match="GridTiler"):
        build(**wrong)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_slide_its_tiles_obey_the_rules(make_pyramid, seed):
    generator = np.random.default_rng(seed)
    width, height = (int(side) for side in generator.integers(300, 2500, 2))
    mpp = float(generator.uniform(0.15, 0.51))
    overlap = float(generator.choice([0.0, 0.25, 0.3, 0.5, 0.9]))
    least = float(generator.uniform(0, 1))
    image = np.zeros((height, width, 3), dtype=np.uint8)
    path, _ = make_pyramid(mpp=mpp, downsamples=(1,), image=image)
    mask = generator.random((max(1, height // 20), max(1, width // 20))) < 0.5
    with open_slide(path) as slide:
        table = build(overlap=overlap, min_occupancy=least, tile_size_px=64).tile(slide, mask, "s")
        exact = table.grid * table.footprint
    assert (table.coords >= 0).all()
    assert (exact + table.footprint <= np.array([width, height]) + 1e-6).all()
    assert np.abs(table.coords - exact).max(initial=0) <= 0.5
    cells = table.grid / (1 - overlap)
    assert np.abs(cells - np.rint(cells)).max(initial=0) < 1e-9
    order = np.lexsort((table.grid[:, 0], table.grid[:, 1]))
    assert np.array_equal(order, np.arange(len(table)))
    assert len(np.unique(table.grid, axis=0)) == len(table)
    assert (table.occupancy >= np.float32(least)).all()
    assert (table.occupancy <= 1).all()
    # one more column or row would leave the slide
    columns, rows = ((side / 64 * mpp / 0.5 - 1) / (1 - overlap) for side in (width, height))
    if mpp < 0.49:
        assert table.attrs["cells"] == max(0, int(columns) + 1) * max(0, int(rows) + 1)
    with open_slide(path) as slide:
        everything = build(overlap=overlap, min_occupancy=0.0, tile_size_px=64)
        assert len(everything.tile(slide, mask, "s")) == table.attrs["cells"] >= len(table)


@pytest.mark.parametrize(
    ("mpp", "downsamples", "level"), [(0.25, (1, 2, 4), 1), (0.25, (1, 4, 16), 0)]
)
def test_tiles_of_a_pyramid_cover_128_um_whatever_its_levels(make_pyramid, mpp, downsamples, level):
    path, image = make_pyramid(mpp=mpp, downsamples=downsamples, size=(1536, 1024))
    with open_slide(path) as slide:
        table = build().tile(slide, np.ones((32, 48), dtype=bool), "s")
        assert (table.attrs["level"], len(table)) == (level, 6)
        assert table.coords[-1].tolist() == [1024, 512]
        tile = table.read(slide, 5)
    expected = image[512:1024, 1024:1536].reshape(256, 2, 256, 2, 3).mean(axis=(1, 3))
    assert np.abs(tile - expected).max() <= 0.51
