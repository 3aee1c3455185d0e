"""Tile tables: what is stored is read, and nothing else is taken for one."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from gigakit.core.errors import StoreError
from gigakit.registry import TILERS
from gigakit.wsi.slide import open_slide
from gigakit.wsi.tiles import TileTable


@pytest.fixture
def slide_path(make_pyramid):
    return make_pyramid(mpp=0.28, downsamples=(1,))[0]


@pytest.fixture
def stored(slide_path, tmp_path):
    with open_slide(slide_path) as slide:
        tiler = TILERS.build({"type": "GridTiler", "tile_size_px": 64, "overlap": 0.5})
        table = tiler.tile(slide, np.ones((30, 40), dtype=bool), "s")
    table.save(tmp_path / "s.h5")
    return table, tmp_path / "s.h5"


def test_a_table_survives_its_file(stored):
    table, path = stored
    found = TileTable.load(path)
    assert len(found) == len(table) > 20
    for name in ("coords", "grid", "occupancy"):
        ours, theirs = getattr(table, name), getattr(found, name)
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)
    assert found.footprint == table.footprint
    assert (found.slide_id, found.tile_size_px, found.target_mpp) == ("s", 64, 0.5)
    assert found.attrs["overlap"] == 0.5
    assert list(found.attrs["slide_size"]) == [1024, 768]


def test_other_tools_find_their_attributes(stored):
    table, path = stored
    with h5py.File(path) as file:
        attrs = dict(file["coords"].attrs)
    assert attrs["patch_size"] == 64
    assert attrs["patch_size_level0"] == round(table.footprint[0])
    assert attrs["overlap"] == 32
    assert (attrs["level0_width"], attrs["level0_height"]) == (1024, 768)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("coords", np.zeros(3), "'coords' is float64"),
        ("grid", np.full((3, 2), np.inf), "not finite"),
        ("occupancy", np.zeros(1), "datasets differ in length"),
    ],
)
def test_a_changed_file_is_refused(stored, name, values, message):
    _, path = stored
    with h5py.File(path, "a") as file:
        del file[name]
        file[name] = values
    with pytest.raises(StoreError, match=message):
        TileTable.load(path)


def test_a_foreign_or_later_file_is_refused(stored, tmp_path):
    _, path = stored
    with h5py.File(path, "a") as file:
        file.attrs["format"] = 99
    with pytest.raises(StoreError, match="is no tile table of format 1; remove it"):
        TileTable.load(path)
    (tmp_path / "text.h5").write_text("coords")
    with pytest.raises(StoreError, match="is damaged or no HDF5 file"):
        TileTable.load(tmp_path / "text.h5")


def test_a_slide_opened_at_another_resolution_is_refused(stored, slide_path):
    table, _ = stored
    with open_slide(slide_path) as slide:
        assert table.read(slide, 0).shape == (64, 64, 3)
    message = r"114\.28\d level-0 px wide, but .* would be 64; open the slide with the mpp"
    with open_slide(slide_path, mpp=0.5) as slide, pytest.raises(StoreError, match=message):
        table.read(slide, 0)
