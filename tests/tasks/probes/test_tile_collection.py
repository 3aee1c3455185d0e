"""Which labelled tiles there are: folders, zips, tables, and what is wrong with them."""

from __future__ import annotations

import numpy as np
import pytest
from tasks.probes import drawn

from gigakit.core.errors import ConfigError, UnreadableSlideError
from gigakit.tasks.probes.splits import split_by_case
from gigakit.tasks.probes.tile_collection import counts, read_collection


def test_a_folder_a_zip_and_a_table_hold_the_same_tiles(tmp_path):
    folder = drawn.write_folder(tmp_path / "tiles")
    table = drawn.write_table(tmp_path / "labels.csv")
    # a table may leave the endings out, as EBHI's does
    bare = [(row[0].removesuffix(".png"), *row[1:]) for row in drawn.rows()]
    drawn.write_table(tmp_path / "bare.csv", bare)
    packed = drawn.write_zip(tmp_path / "tiles.zip")
    ways = [
        read_collection(folder, table=table),
        read_collection(table, root=folder),
        read_collection(packed, table=tmp_path / "bare.csv"),
        read_collection(folder, table=tmp_path / "bare.csv"),
    ]
    for found in ways:
        assert found.names == [row[0] for row in drawn.rows()]
        assert found.classes == drawn.CLASSES
        assert found.cases.tolist() == [row[2] for row in drawn.rows()]
        assert found.splits.tolist() == [row[3] for row in drawn.rows()]
        assert (found.warnings, found.notes) == ([], ["the split is that of the data"])
        np.testing.assert_array_equal(found.pixels(5), ways[0].pixels(5))
    assert counts(ways[0]) == "54 tiles of 3 classes and 18 cases: 18 train, 18 val, 18 test"


def test_folders_alone_know_no_cases_which_is_told(tmp_path):
    folder = drawn.write_folder(tmp_path / "tiles")
    found = read_collection(folder, seed=3)
    assert len(found) == len(np.unique(found.cases)) == 54
    assert "no cases are known" in found.warnings[0]
    assert "tiles were drawn with seed 3" in found.notes[0]
    assert found.splits.tolist() == read_collection(folder, seed=3).splits.tolist()
    assert found.splits.tolist() != read_collection(folder, seed=4).splits.tolist()
    zipped = read_collection(drawn.write_zip(tmp_path / "tiles.zip"), seed=3)
    assert sorted(zipped.names) == sorted(found.names)


def test_folders_of_splits_are_the_split(tmp_path):
    moved = [(f"{row[3]}/{row[0]}", *row[1:]) for row in drawn.rows()]
    found = read_collection(drawn.write_folder(tmp_path, found=moved))
    assert found.classes == drawn.CLASSES
    assert found.splits.tolist() == [name.split("/")[0] for name in found.names]


def test_a_split_that_parts_cases_is_told(tmp_path):
    folder = drawn.write_folder(tmp_path)
    leaky = [(*row[:3], "test" if i % 3 == 0 else "train") for i, row in enumerate(drawn.rows())]
    found = read_collection(folder, table=drawn.write_table(tmp_path / "t.csv", leaky))
    assert "18 cases are in the test split and in another one (the first: c00)" in found.warnings[0]


def test_a_drawn_split_keeps_cases_together(tmp_path):
    folder = drawn.write_folder(tmp_path)
    table = drawn.write_table(tmp_path / "t.csv", columns=("tile", "label", "case"))
    found = read_collection(folder, table=table)
    for case in np.unique(found.cases):
        assert len(set(found.splits[found.cases == case])) == 1
    assert "whole cases were drawn with seed 0: train 64%, val 16%, test 20%" in found.notes[0]
    assert found.labelled(np.zeros((54, 2), np.float32)).leaks() == []
    other = read_collection(folder, table=table, split_by="tile")
    assert len(np.unique(other.cases)) == 54
    assert other.warnings


def test_each_class_of_cases_is_dealt_by_itself():
    labels = np.repeat([0, 1, 2, 3], [100, 25, 2, 1])
    cases = np.array([f"{i:03d}" for i in range(128)])
    split = split_by_case(labels, cases, seed=0)
    dealt = {
        c: [int((split[labels == c] == name).sum()) for name in ("train", "val", "test")]
        for c in range(4)
    }
    assert dealt == {0: [64, 16, 20], 1: [16, 4, 5], 2: [1, 0, 1], 3: [1, 0, 0]}
    # a case counts for the class of most of its tiles
    mixed = split_by_case(np.array([0, 1, 1, 0, 1]), np.array(list("aaabc")), seed=0)
    assert len(set(mixed[:3])) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": ("tile", "case")}, "has no column 'label', only tile, case"),
        ({"found": [("a", "x", "1", "train"), ("a", "x", "1", "train")]}, r"t.csv:3: a is also in"),
        ({"found": [("a", "", "1", "train")]}, "the label is empty"),
        ({"found": [("a", "x", "", "train")]}, "the case is empty"),
        ({"found": [("a", "x", "1", "dev")]}, "the split is 'dev'; one of train, val, test"),
        ({"found": [("a", "x", "1", "train"), ("b", "y", "1", "test")]}, "with --root"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, change, message):
    table = drawn.write_table(tmp_path / "t.csv", **change)
    with pytest.raises(ConfigError, match=message):
        read_collection(table)


def test_data_that_cannot_be_used(tmp_path):
    with pytest.raises(ConfigError, match="no such folder"):
        read_collection(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="holds no pictures"):
        read_collection(tmp_path)
    (tmp_path / "a.zip").write_bytes(b"no zip")
    with pytest.raises(ConfigError, match="is no zip"):
        read_collection(tmp_path / "a.zip")
    folder = drawn.write_folder(tmp_path / "one", found=drawn.rows()[:3])
    with pytest.raises(ConfigError, match="one class alone, 'gland'"):
        read_collection(folder)
    (folder / "loose.png").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"loose.png is in no folder of its class"):
        read_collection(folder)
    everything = drawn.write_folder(tmp_path / "all")
    table = drawn.write_table(tmp_path / "t.csv", columns=("tile", "label"))
    with pytest.raises(ConfigError, match="has no column 'patient'"):
        read_collection(everything, table=table, split_by="patient")
    untested = [(*row[:3], "train") for row in drawn.rows()]
    with pytest.raises(ConfigError, match="no tile is in split 'test'"):
        read_collection(everything, table=drawn.write_table(tmp_path / "u.csv", untested))


def test_a_tile_that_is_missing_or_damaged_says_so_when_it_is_read(tmp_path):
    folder = drawn.write_folder(tmp_path)
    table = drawn.write_table(tmp_path / "t.csv")
    (folder / drawn.rows()[0][0]).unlink()
    (folder / drawn.rows()[1][0]).write_bytes(b"half")
    found = read_collection(folder, table=table)
    for index in (0, 1):
        with pytest.raises(UnreadableSlideError):
            found.pixels(index)
