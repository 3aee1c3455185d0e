"""Feature files."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from gigakit.core.errors import StoreError
from gigakit.wsi.features import feature_writer, read_feature_shape, read_features, write_features
from gigakit.wsi.tiles import TileTable

GRID = np.array([[0.0, 0.0], [1.5, 2.0], [3.0, 2.5]])
FEATURES = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "s.h5"
    write_features(path, FEATURES, TileTable.from_grid("s", GRID), {"encoder": "e"})
    return path


def test_what_is_written_is_read(file):
    found = read_features(file)
    assert found.slide_id == "s"
    assert np.array_equal(found.features, FEATURES)
    assert np.array_equal(found.grid, GRID)
    assert np.array_equal(found.coords, (GRID * 256).astype(int))
    assert read_feature_shape(file) == (3, 4)


def test_other_readers_find_contiguous_half_floats_and_their_attributes(file):
    with h5py.File(file) as stored:
        assert stored["features"].dtype == np.float16
        assert stored["features"].chunks is None
        assert stored["coords"].attrs["patch_size_level0"] == 256
        assert stored["coords"].attrs["name"] == "s"
        assert stored.attrs["encoder"] == "e"


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_values_that_float16_cannot_hold_are_refused(tmp_path, value):
    features = FEATURES.copy()
    features[1, 2] = value
    with pytest.raises(StoreError, match="tile 1 is not finite in float16"):
        write_features(tmp_path / "s.h5", features, TileTable.from_grid("s", GRID))
    assert list(tmp_path.iterdir()) == []


def test_a_count_that_differs_from_the_tiles_is_refused(tmp_path):
    with pytest.raises(StoreError, match="2 embeddings for 3 tiles"):
        write_features(tmp_path / "s.h5", FEATURES[:2], TileTable.from_grid("s", GRID))


def test_batches_make_the_same_file_as_all_at_once(file, tmp_path):
    def write(name, *batches):
        with feature_writer(tmp_path / name, TileTable.from_grid("s", GRID)) as writer:
            for batch in batches:
                writer.append(batch)

    write("t.h5", FEATURES[:1], FEATURES[1:])
    assert np.array_equal(read_features(tmp_path / "t.h5").features, FEATURES)
    for batches in ([FEATURES[:1]], [FEATURES, FEATURES[:1]]):
        with pytest.raises(StoreError, match=r"\d embeddings for 3 tiles"):
            write("u.h5", *batches)
    assert not (tmp_path / "u.h5").exists()


def test_foreign_files_are_fitted_to_their_lattice_or_refused(file, tmp_path):
    with h5py.File(file, "a") as stored:
        del stored["grid"]
    assert np.array_equal(read_features(file).grid, GRID)
    with h5py.File(file, "a") as stored:
        del stored["coords"].attrs["patch_size_level0"]
    with pytest.raises(StoreError, match="patch_size_level0"):
        read_features(file)


def test_damage_is_told_in_one_line(file, tmp_path):
    with h5py.File(file, "a") as stored:
        del stored["coords"]
    with pytest.raises(StoreError, match="holds no dataset 'coords'"):
        read_features(file)
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(StoreError, match="is damaged"):
        read_features(file)
    with pytest.raises(StoreError, match="no such file"):
        read_feature_shape(tmp_path / "none.h5")


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("features", np.zeros(3), r"'features' is float64 \(3,\)"),
        ("features", np.zeros(()), r"'features' is float64 \(\)"),
        ("features", np.full((3, 4), np.nan), "'features' holds values that are not finite"),
        ("features", np.array([[b"a"]] * 3), "'features' is .S1"),
        ("coords", np.zeros((3, 5)), r"'coords' is float64 \(3, 5\)"),
        ("coords", np.zeros((2, 2)), "3 features, 2 coords, 3 positions"),
        ("grid", np.zeros((4, 2)), "3 features, 3 coords, 4 positions"),
    ],
)
def test_each_wrong_form_is_told(file, name, values, message):
    with h5py.File(file, "a") as stored:
        del stored[name]
        stored[name] = values
    with pytest.raises(StoreError, match=message):
        read_features(file)


def test_a_group_is_no_dataset_and_a_step_of_zero_no_lattice(file):
    with h5py.File(file, "a") as stored:
        del stored["grid"]
        stored["coords"].attrs["patch_size_level0"] = 0
    with pytest.raises(StoreError, match="patch_size_level0"):
        read_features(file)
    with h5py.File(file, "a") as stored:
        del stored["features"]
        stored.create_group("features")
    with pytest.raises(StoreError, match="holds no dataset 'features'"):
        read_features(file)


def test_a_foreign_file_without_tiles_is_read(tmp_path):
    with h5py.File(tmp_path / "s.h5", "w") as stored:
        stored["features"] = np.zeros((0, 4), dtype=np.float32)
        stored["coords"] = np.zeros((0, 2), dtype=np.int64)
        stored["coords"].attrs["patch_size_level0"] = 256
    found = read_features(tmp_path / "s.h5")
    assert (found.features.shape, found.grid.shape) == ((0, 4), (0, 2))
