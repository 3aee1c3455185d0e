"""Positions of tiles whose coordinates come from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from gigakit.core.errors import StoreError
from gigakit.wsi.lattice import fit_grid, stride_of


def lattice(columns=40, rows=30, keep=0.5, seed=0):
    """Return the cells of a slide of which some hold tissue."""
    cells = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    kept = np.random.default_rng(seed).random(len(cells)) < keep
    return cells[kept].astype(np.float64)


@pytest.mark.parametrize("scale", [512.0, 513.03, 512.6, 256.4])
@pytest.mark.parametrize("rounding", [np.floor, np.rint])
def test_rounded_coordinates_and_a_rounded_step_give_the_cells_back(scale, rounding):
    cells = lattice(columns=300)
    coords = rounding(cells * scale).astype(np.int64)
    # where the step was rounded up, dividing by it would put two lines into one cell
    collapses = round(scale) > scale
    assert np.array_equal(np.floor(coords / round(scale)), cells) is not collapses
    assert np.array_equal(fit_grid(coords, round(scale)), cells)


def test_coordinates_of_the_target_resolution_are_the_published_cells(shared):
    # the release's own rule: floor of coordinates over the tile size, from the slide's corner
    coords = lattice() * 256.0 + np.array([3 * 256.0, 100.0])
    assert np.array_equal(np.floor(fit_grid(coords, 256.0)), np.floor(coords / 256.0))
    arrays = np.load(shared / "reference" / "slide_encoder" / "coords_to_pos.npz")
    for name in ("t256_g1000.int", "t256_g1000.float"):
        coords, index = arrays[f"{name}_coords"].reshape(-1, 2), arrays[f"{name}_pos"].reshape(-1)
        cells = np.floor(fit_grid(coords.astype(np.float64), 256.0))
        assert np.array_equal(cells[:, 0] * 1000 + cells[:, 1] + 1, index)


def test_overlapping_tiles_keep_their_fractions():
    cells = lattice()
    coords = np.rint(cells * 513.03 / 2)
    assert np.array_equal(fit_grid(coords, 513, overlap=0.5), cells / 2)


def test_pieces_with_lattices_of_their_own_are_divided_by_the_step():
    generator = np.random.default_rng(3)
    phases = generator.integers(0, 512, (5, 2))
    coords = np.concatenate([lattice(8, 8, seed=i) * 512 + p for i, p in enumerate(phases)])
    assert stride_of(coords) is None
    assert np.array_equal(fit_grid(coords, 512), coords / 512)


@pytest.mark.parametrize("coords", [np.zeros((0, 2)), np.array([[700.0, 300.0]])])
def test_no_tile_and_one_tile_are_positions_too(coords):
    assert np.array_equal(fit_grid(coords, 256), coords / 256)


def test_a_stride_that_contradicts_the_overlap_told_is_refused():
    with pytest.raises(StoreError, match="overlap by 0%, but its coordinates lie 256 px apart"):
        fit_grid(lattice() * 256, 512, overlap=0.0)
    assert len(fit_grid(lattice() * 1024, 512, overlap=0.0))
