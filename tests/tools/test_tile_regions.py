"""The benchmark of tile regions: parts, neighbourhoods, intervals, windows."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score

from gigakit.wsi.features import read_features


@pytest.fixture(scope="module")
def bench(repository):
    sys.path.insert(0, str(repository / "tools" / "bench"))
    try:
        yield importlib.import_module("tile_regions")
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="module")
def tiles(bench):
    """Return 60 x 80 cells of which a fifth is empty, with two kinds of rows."""
    generator = np.random.default_rng(0)
    cells = np.stack(np.meshgrid(np.arange(60), np.arange(80), indexing="ij"), -1).reshape(-1, 2)
    grid = cells[generator.random(len(cells)) < 0.8]
    label = (grid[:, 1] // 10) % 2
    features = (generator.standard_normal((len(grid), 3)) + label[:, None]).astype(np.float32)
    return bench.regions.Tiles(features, grid, label, generator.random(len(grid)) < 0.9)


def test_parts_are_apart_and_the_strip_is_of_the_top_half(bench, tiles):
    fit, strip, test = bench.regions.parts_of(tiles)
    assert sorted([*fit, *strip, *test]) == list(np.flatnonzero(tiles.scored))
    rows = tiles.grid[:, 1]
    assert rows[fit].max() < rows[strip].min()
    assert rows[strip].max() < np.median(rows) <= rows[test].min()


def test_the_mean_of_neighbours_is_over_the_tiles_that_are_there(bench, tiles):
    found = bench.regions.neighbourhood_mean(tiles.features, tiles.grid, 7)
    for tile in (0, 100, len(found) // 2, len(found) - 1):
        near = (np.abs(tiles.grid - tiles.grid[tile]) <= 3).all(axis=1)
        assert found[tile] == pytest.approx(tiles.features[near].mean(axis=0), abs=1e-5)


def test_the_probe_learns_from_the_top_half_alone(bench, tiles):
    parts = bench.regions.parts_of(tiles)
    strength, accuracy = bench.regions.on_strip(tiles.features, tiles.label, parts)
    assert 0.7 < accuracy < 0.95
    told = bench.regions.on_test(tiles.features, tiles.label, parts, strength)
    # another truth below the cut changes nothing of what is told
    other = tiles.label.copy()
    other[parts.test] = 1 - other[parts.test]
    assert np.array_equal(told, bench.regions.on_test(tiles.features, other, parts, strength))


def test_drawn_accuracies_lie_around_the_accuracy(bench, tiles):
    truth = tiles.label
    told = np.eye(2)[np.where(np.random.default_rng(1).random(len(truth)) < 0.25, 1 - truth, truth)]
    drawn = bench.regions.drawn_accuracies(truth, told, tiles.grid, side=10)
    low, high = bench.regions.interval(drawn)
    exact = balanced_accuracy_score(truth, told.argmax(axis=1))
    assert low < exact < high < low + 0.1
    assert drawn.mean() == pytest.approx(exact, abs=0.005)
    # a way that is always right has no interval
    assert bench.regions.interval(
        bench.regions.drawn_accuracies(truth, np.eye(2)[truth], tiles.grid)
    ) == (1.0, 1.0)


def test_auroc_is_the_mean_over_the_classes_that_are_there(bench):
    label = np.array([0, 0, 1, 1])
    told = np.array([[0.9, 0.1, 0.0], [0.4, 0.6, 0.0], [0.5, 0.5, 0.0], [0.1, 0.9, 0.0]])
    assert bench.regions.macro_auroc(label, told) == pytest.approx(0.75)


def test_squares_cover_the_slide_and_overlap_by_half(bench, tiles):
    covered = np.zeros(len(tiles.grid), dtype=int)
    for corner, inside in bench.squares_of(tiles.grid):
        assert (tiles.grid[inside] >= corner).all()
        assert (tiles.grid[inside] < corner + bench.SQUARE).all()
        covered[inside] += 1
    middle = ((tiles.grid >= 15) & (tiles.grid < tiles.grid.max(axis=0) - 15)).all(axis=1)
    assert covered.min() == 1
    assert (covered[middle] >= 4).all()


def test_squares_hold_features_and_places_of_the_slide(bench, tiles, tmp_path):
    features = bench.scaled(tiles.features)
    count = bench.write_squares(tmp_path / "squares", features, tiles.grid)
    files = sorted((tmp_path / "squares").iterdir())
    assert len(files) == count == 15
    stored = read_features(files[-1])
    corner = np.array([int(part) for part in files[-1].stem.split("-")])
    where = {tuple(cell): row for row, cell in enumerate(tiles.grid)}
    rows = [where[tuple(cell)] for cell in (stored.grid + corner).astype(int)]
    assert stored.features == pytest.approx(features[rows], abs=2e-3)
    # row by row
    assert (np.diff(stored.grid[:, 1]) >= 0).all()


def test_tokens_come_back_in_the_order_of_the_tiles(bench, tiles):
    counts = []

    class Echo(torch.nn.Module):
        width = 3

        def tokens(self, features, grid):
            assert grid.min() >= 0
            assert grid.max() < bench.SQUARE
            counts.append(features.shape[1])
            return torch.cat([torch.zeros(1, 1, 3), features], dim=1)

    found = bench.tokens_of(Echo(), tiles.features, tiles.grid, draws=3)
    assert found == pytest.approx(tiles.features, abs=1e-6)
    # a quarter of a window at a time, each tile as often as there are deals
    assert max(counts) <= bench.WINDOW**2 * bench.VISIBLE
    assert sum(counts) >= 3 * len(tiles.features)
