"""Positions against the published tables."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gigakit.core.errors import ConfigError
from gigakit.nn.positions.grid_sincos import published_index
from gigakit.registry import POSITIONS


@pytest.fixture(scope="module")
def folder(shared):
    return shared / "reference" / "slide_encoder"


def cells(index, grid_size):
    """Invert the published index: x multiplies the grid's width."""
    return torch.stack([(index - 1) // grid_size, (index - 1) % grid_size], dim=-1)[None].double()


def test_published_tables(folder):
    tables = np.load(folder / "pos_embed_tables.npz")
    assert len(tables.files) == 3
    for name in tables.files:
        width, grid_size = (int(part[1:]) for part in name.split("_")[1:])
        index = torch.arange(1, grid_size**2 + 1)
        found = POSITIONS.build({"type": "GridSinCos2d"})(cells(index, grid_size), width)[0]
        assert np.abs(found.numpy() - tables[name][1:].astype(np.float32)).max() == 0


def test_published_rows_of_the_large_table(folder):
    rows = np.load(folder / "pos_embed_768_g1000_rows.npz")
    kept = rows["rows"] > 0
    index = torch.from_numpy(rows["rows"][kept])
    found = POSITIONS.build({"type": "GridSinCos2d"})(cells(index, 1000), 768)[0]
    # float64 sines of two libraries may round to neighbouring float32 values
    assert np.abs(found.numpy() - rows["values"][kept]).max() < 1e-7


def test_published_indices_and_the_silent_errors_of_the_original(folder):
    arrays = np.load(folder / "coords_to_pos.npz")
    compared = 0
    for name in arrays.files:
        if not name.endswith("_coords"):
            continue
        setting, kind = name.removesuffix("_coords").split(".")
        tile_size, grid_size = (int(part[1:]) for part in setting.split("_"))
        coords = torch.from_numpy(arrays[name])
        inside = ((coords >= 0) & (coords < tile_size * grid_size)).all(dim=1)
        if kind in ("int", "float"):
            assert inside.all()
        found = published_index(coords[inside], tile_size=tile_size, grid_size=grid_size)
        assert torch.equal(found, torch.from_numpy(arrays[f"{setting}.{kind}_pos"])[inside])
        compared += len(found)
        if not inside.all():
            with pytest.raises(ConfigError, match="pixels of the target mpp"):
                published_index(coords, tile_size=tile_size, grid_size=grid_size)
    assert compared > 1000


def test_fractions_of_overlapping_tiles_are_kept_or_floored():
    grid = torch.tensor([[[2.5, 3.25], [2.0, 3.0]]], dtype=torch.float64)
    kept = POSITIONS.build({"type": "GridSinCos2d"})(grid, 16)
    floored = POSITIONS.build({"type": "GridSinCos2d", "quantize": True})(grid, 16)
    assert (kept[0, 0] - kept[0, 1]).abs().max() > 0.1
    assert torch.equal(floored[0, 0], floored[0, 1])


def test_a_width_that_is_no_multiple_of_four_is_refused():
    with pytest.raises(ConfigError, match="multiple of 4"):
        POSITIONS.build({"type": "GridSinCos2d"})(torch.zeros(1, 1, 2), 10)


@pytest.mark.parametrize("position", [-0.5, float("nan"), float("inf"), 1000.0])
def test_positions_outside_of_the_grid_are_refused(position):
    grid = torch.tensor([[[2.0, 3.0], [4.0, position]]], dtype=torch.float64)
    with pytest.raises(ConfigError, match="outside of the grid"):
        POSITIONS.build({"type": "GridSinCos2d", "grid_size": 1000})(grid, 16)


def test_nothing_limits_the_grid_by_itself():
    far = torch.tensor([[[123_456.0, 0.25]]], dtype=torch.float64)
    found = POSITIONS.build({"type": "GridSinCos2d"})(far, 4)
    expected = torch.tensor([0.25, 123_456.0], dtype=torch.float64)
    expected = torch.stack([expected.sin(), expected.cos()], dim=-1).flatten().float()
    assert torch.equal(found[0, 0], expected)
