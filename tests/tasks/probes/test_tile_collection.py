"""Which labelled tiles there are: folders, zips, tables, and what is wrong with them."""

from __future__ import annotations

import numpy as np
import pytest
from tasks.probes import drawn

from gigakit.core.errors import ConfigError, DamagedRegionError, StoreError
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
        read_collection(folder, table=tmp_path / "bare.csv"),
        read_collection(packed, table=tmp_path / "bare.csv"),
        read_collection(drawn.write_tar(tmp_path / "tiles.tar"), table=table),
    ]
    for top, found in zip(("", "", "", "tiles/", "tiles/"), ways, strict=True):
        assert found.names == [top + row[0] for row in drawn.rows()]
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
    # the folder that holds everything in an archive is no class
    (tmp_path / "shards").mkdir()
    drawn.write_tar(tmp_path / "shards" / "0.tar")
    for packed, top in ((drawn.write_zip(tmp_path / "t.zip"), ""), (tmp_path / "shards", "0.tar/")):
        same = read_collection(packed, seed=3)
        assert same.names == [f"{top}tiles/{name}" for name in found.names]
        assert same.labels.tolist() == found.labels.tolist()
        assert same.splits.tolist() == found.splits.tolist()


def test_folders_of_splits_are_the_split(tmp_path):
    moved = [(f"{row[3]}/{row[0]}", *row[1:]) for row in drawn.rows()]
    found = read_collection(drawn.write_folder(tmp_path, found=moved))
    assert found.classes == drawn.CLASSES
    assert found.splits.tolist() == [name.split("/")[0] for name in found.names]


def test_splits_and_columns_go_by_several_names(tmp_path):
    called = {"train": "Train", "val": "validation", "test": "TEST"}
    names = [(*row[:3], called[row[3]]) for row in drawn.rows()]
    table = drawn.write_table(tmp_path / "t.csv", names)
    table.write_text(table.read_text().replace("tile,label,case", "Tile,LABEL,Patient", 1))
    folder = drawn.write_folder(tmp_path / "tiles")
    found = read_collection(table, root=folder, split_by="Patient")
    assert found.splits.tolist() == [row[3] for row in drawn.rows()]
    assert found.cases.tolist() == [row[2] for row in drawn.rows()]
    moved = [(f"{called[row[3]]}/{row[0]}", *row[1:]) for row in drawn.rows()]
    sorted_ = read_collection(drawn.write_folder(tmp_path / "sorted", found=moved))
    assert {split: (sorted_.splits == split).sum() for split in called} == dict.fromkeys(called, 18)


def test_a_table_leaves_alone_what_lies_beside_it(tmp_path):
    folder = drawn.write_folder(tmp_path / "tiles")
    (tmp_path / "labels").mkdir()
    drawn.write_tar(tmp_path / "labels" / "other.tar")
    beside = [(f"../tiles/{row[0]}", *row[1:]) for row in drawn.rows()]
    found = read_collection(drawn.write_table(tmp_path / "labels" / "t.csv", beside))
    expected = read_collection(folder, table=drawn.write_table(tmp_path / "t.csv"))
    np.testing.assert_array_equal(found.pixels(7), expected.pixels(7))


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
        (
            {"found": [("a", "x", "1", "train"), ("a", "x", "1", "train")]},
            r"t.csv:3: tile 'a' is also",
        ),
        ({"found": [("a", "", "1", "train")]}, "its label is empty"),
        ({"found": [("a", "x", "", "train")]}, "its case is empty"),
        ({"found": [("a", "x", "1", "dev")]}, "the split is 'dev'; one of train, val, test"),
        ({"found": [("a", "x", "1", "train"), ("b", "y", "1", "test")]}, "with --root"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, change, message):
    table = drawn.write_table(tmp_path / "t.csv", **change)
    with pytest.raises(ConfigError, match=message):
        read_collection(table)


def test_data_that_cannot_be_used(tmp_path):
    with pytest.raises(ConfigError, match="no such file or folder"):
        read_collection(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="holds no tiles"):
        read_collection(tmp_path)
    (tmp_path / "a.zip").write_bytes(b"no zip")
    with pytest.raises(StoreError, match="is no zip"):
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
        with pytest.raises(DamagedRegionError) as told:
            found.pixels(index)
        assert told.value.where == folder / drawn.rows()[index][0]
    packed = drawn.write_zip(tmp_path / "t.zip")
    moved = [(f"elsewhere/{row[0]}", *row[1:]) for row in drawn.rows()]
    nothing = drawn.write_table(tmp_path / "m.csv", moved)
    with pytest.raises(ConfigError, match=r"none of its tiles is in .*t\.zip, not even elsewhere"):
        read_collection(packed, table=nothing)
