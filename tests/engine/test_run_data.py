"""What a run is trained on, put into the open places of the tile recipe."""

from __future__ import annotations

import copy

import pytest

from gigakit.config import load_config
from gigakit.core.errors import ConfigError
from gigakit.engine.run_data import fill_in, prepare, score_prepared
from gigakit.tasks.prepared import PreparedFeatures
from gigakit.tasks.slide_tiling import PreparedTiles

_VALIDATION = {"val_dataloader", "val_cfg", "val_evaluator"}


def filled(prepared=None, **changes):
    values = copy.deepcopy(load_config("tiny/tile", preset=changes).values)
    fill_in(values, prepared or prepare(values, lambda line: None))
    return values


def test_stored_tiles_take_the_place_of_slides_and_keep_what_they_share():
    values = filled(
        tiles={"root": "tiles.zip", "table": "t.csv", "split": "train"},
        **{
            "train_dataloader.dataset.tissue_filter": {"type": "TissueFilter"},
            "train_dataloader.dataset.jitter": 0.5,
            "randomness.seed": 7,
        },
    )
    dataset = values["train_dataloader"]["dataset"]
    views = dataset.pop("views")
    assert (views["type"], views["global_px"], views["local_count"]) == ("MultiCrop", 64, 2)
    assert dataset == {
        "type": "TileImages", "root": "tiles.zip", "table": "t.csv", "split": "train", "seed": 7,
        "tissue_filter": {"type": "TissueFilter"},
    }  # fmt: skip


def test_a_path_of_stored_tiles_is_their_root():
    dataset = filled(tiles="shards/*.tar")["train_dataloader"]["dataset"]
    assert (dataset["type"], dataset["root"]) == ("TileImages", "shards/*.tar")
    assert "table" not in dataset


def test_tiles_of_slides_are_read_from_the_slides(tmp_path):
    values = filled(PreparedTiles(tmp_path / "tiles", ["a", "b"], [3, 4]))
    dataset = values["train_dataloader"]["dataset"]
    assert dataset["type"] == "SlideTileViews"
    assert dataset["tiles"] == str(tmp_path / "tiles")
    assert dataset["slide_ids"] == ["a", "b"]


def test_without_labelled_tiles_nothing_is_validated():
    assert not _VALIDATION & filled(tiles="tiles").keys()


def test_labelled_tiles_are_validated():
    labelled = {"root": "tiles", "table": "labels.csv", "split": "val"}
    values = filled(tiles="tiles", labelled=labelled)
    assert values.keys() >= _VALIDATION
    dataset = values["val_dataloader"]["dataset"]
    assert dataset.pop("transform") == {"type": "ResizeCrop", "size_px": 64}
    assert dataset == {"type": "LabelledTiles", **labelled}


def test_masks_lie_on_the_encoders_grid_unless_told_otherwise():
    assert filled(tiles="t")["train_dataloader"]["collate_fn"]["patch_size"] == 16
    eight = {"model.encoder.patch_size": 8}
    assert filled(tiles="t", **eight)["train_dataloader"]["collate_fn"]["patch_size"] == 8
    told = {**eight, "train_dataloader.collate_fn.patch_size": 4}
    assert filled(tiles="t", **told)["train_dataloader"]["collate_fn"]["patch_size"] == 4


def test_a_recipe_without_data_is_told_what_to_add():
    with pytest.raises(ConfigError, match="neither tiles nor a cohort") as caught:
        filled(cohort=None)
    assert "--set tiles=DIR" in str(caught.value)


def test_labelled_tiles_score_only_an_encoder_that_is_known(tmp_path):
    prepared = PreparedFeatures(tmp_path, [], [], 12)
    labelled = {"root": str(tmp_path)}
    assert score_prepared({"labelled": None}, prepared, print) == {}
    tiles = PreparedTiles(tmp_path, [], [])
    assert score_prepared({"labelled": labelled, "tiles": "x"}, tiles, print) == {}
    with pytest.raises(ConfigError, match="given features"):
        score_prepared({"labelled": labelled, "features": "x"}, prepared, print)
