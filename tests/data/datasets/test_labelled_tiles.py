"""Labelled tiles for evaluation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gigakit.core.errors import ConfigError, StoreError
from gigakit.registry import DATASETS

TABLE = "tile,label,case,split\na/1,polyp,7,train\nb/6.png,normal,8,test\na/0,polyp,7,test\n"


@pytest.fixture
def build(tile_folder, tmp_path):
    def make(text=TABLE, **changes):
        (tmp_path / "t.csv").write_text(text)
        config = {"type": "LabelledTiles", "root": str(tile_folder)}
        return DATASETS.build({**config, "table": str(tmp_path / "t.csv"), **changes})

    return make


def test_items_tell_label_case_and_split(build, smooth):
    data = build(transform={"type": "ResizeCrop", "size_px": 48})
    assert data.classes == ["normal", "polyp"]
    item = data[1]
    assert torch.equal(item.pop("images"), torch.from_numpy(smooth(seed=6)).permute(2, 0, 1))
    assert item == {"label": 0, "case": "8", "split": "test", "image_id": "b/6.png"}
    assert [data[n]["label"] for n in range(3)] == [1, 0, 1]
    assert data[(1, 99)]["image_id"] == "b/6.png"


def test_splits_number_classes_alike(build):
    train = build(split="train")
    assert len(train) == 1
    assert train[0]["label"] == 1
    assert train[0]["images"].shape == (3, 224, 224)


def test_whole_numbers_are_ordered_as_such_and_cases_may_be_missing(build):
    data = build("tile,label\na/1,10\na/2,2\n")
    assert data.classes == ["2", "10"]
    assert data[0]["case"] == "a/1.png"
    assert data[0]["split"] == ""


@pytest.mark.parametrize("split", ["val", "valid", "Validation"])
def test_a_split_goes_by_several_names(build, split):
    text = "Tile,Label,split\na/1,x,VALID\na/2,y,validation\na/3,x,train\na/4,x,Fold 1\n"
    assert [row.split for row in build(text, split=split).rows] == ["val", "val"]
    assert build(text)[3]["split"] == "Fold 1"


def test_real_labelled_tiles(shared):
    folder = shared / "data" / "ebhi_seg"
    data = DATASETS.build(
        {"type": "LabelledTiles", "root": str(folder / "tiles.zip"),
         "table": str(folder / "labels.csv"), "split": "val"}
    )  # fmt: skip
    assert len(data) == 220
    assert len(data.classes) == 6
    item = data[0]
    assert item["split"] == "val"
    assert data.classes[item["label"]] in item["image_id"]
    # a tile of the encoder's size is not resampled
    assert 60 < np.asarray(item["images"]).mean() < 230


def test_a_damaged_tile_is_an_error(build, tile_folder):
    (tile_folder / "a" / "1.png").write_bytes(b"?")
    with pytest.raises(StoreError, match=r"tile 'a/1\.png' is no image.*take it out of the table"):
        build()[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tile\na/1\n", "has no column 'label', only tile"),
        ("tile,label\na/1,\n", r"t\.csv:2: its label is empty; fill it"),
        ("tile,label\na/1,x\na/1.png,y\n", r"t\.csv:3: tile 'a/1\.png' is also that of .*t\.csv:2"),
        ("tile,label\nc/1,x\n", r"tile 'c/1' is not in .*, which holds 'a/0\.png'"),
        ("tile,label\n", "lists no tiles"),
    ],
)
def test_unusable_tables_are_told_by_line(build, text, message):
    with pytest.raises(ConfigError, match=message):
        build(text)


def test_a_name_that_may_be_two_tiles_is_told(build, tile_folder):
    (tile_folder / "a" / "1.jpg").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"'a/1' may be two tiles of .*'a/1\.jpg' and 'a/1\.png'"):
        build()
    assert build("tile,label\na/1.png,x\n").rows[0].tile == "a/1.png"


def test_root_and_table_have_to_be_given(build):
    with pytest.raises(ConfigError, match=r"LabelledTiles\.table: is not given; set it"):
        build(table=None)
