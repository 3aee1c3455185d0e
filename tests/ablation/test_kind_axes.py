"""Axes of the registry kinds: which there are, over which key, and what their values mean."""

from __future__ import annotations

import pytest

from gigakit.ablation.axes import choose
from gigakit.ablation.kind_axes import all_axes, kind_axes
from gigakit.config import ABSENT, catalogue_of, load_config
from gigakit.core.errors import ConfigError


def axes_of(recipe, *overrides, which=all_axes):
    loaded = load_config(recipe, overrides)
    return which(loaded.values, catalogue_of(loaded))


@pytest.fixture(scope="module")
def slide():
    return axes_of("tiny/slide")


@pytest.fixture(scope="module")
def tile():
    return axes_of("gigapath_tile")


def test_each_kind_has_its_one_place(slide):
    keys = {name: axis.key for name, axis in slide.items()}
    assert (
        keys
        | {
            "reader": "preparation.reader",
            "segmenter": "preparation.segmenter",
            "tiler": "preparation.tiler",
            "quality": "preparation.quality",
            "augmentation": "train_dataloader.dataset.augmentations",
            "masking": "train_dataloader.dataset.masking",
            "objective": "model",
            "backbone": "model.encoder",
            "position": "model.encoder.position",
            "loss": "model.loss",
            "optimizer": "optim_wrapper.optimizer",
            "schedule": "param_scheduler",
        }
        == keys
    )
    # every cell is scored by the same evaluator
    assert not any(key.startswith(("val_", "test_")) for key in keys.values() if key)


def test_the_recipes_own_axis_wins_over_the_kinds(slide, tile):
    assert list(slide["attention"].cells) == ["dilated", "flash", "local", "linear"]
    # the recipe has one over the same key, or of the plural's name
    assert "head" not in slide
    assert "loss" not in tile
    assert "target" not in tile
    assert list(tile["objective"].cells) == ["dino_ibot_koleo", "simclr", "mae", "patterns"]


def test_what_a_name_does_not_settle_is_no_axis():
    # two schedules of one type
    assert "schedule" not in axes_of("gigapath_tile", which=kind_axes)
    assert "schedule" in axes_of("tiny/slide", which=kind_axes)


def test_an_empty_place_takes_none_and_a_filled_one_too_where_it_may(slide):
    (choice,) = choose(slide["reader"], "none")
    assert choice.value is ABSENT
    assert choice.settings == {}
    (choice,) = choose(slide["position"], "none")
    assert choice.settings == {"model.encoder.position": None}
    assert "none" not in slide["tiler"].cells


def test_a_component_takes_over_the_arguments_that_both_have(slide):
    (choice,) = choose(slide["tiler"], "JitteredTiler(moving_distance=0.25)")
    loaded = load_config("tiny/slide", [f"{k}={v!r}" for k, v in choice.settings.items()])
    tiler = loaded.values["preparation"]["tiler"]
    before = load_config("tiny/slide").values["preparation"]["tiler"]
    assert tiler["type"] == "JitteredTiler"
    assert tiler["moving_distance"] == 0.25
    assert {key: tiler[key] for key in ("tile_size_px", "target_mpp", "min_occupancy")} == {
        key: before[key] for key in ("tile_size_px", "target_mpp", "min_occupancy")
    }
    # the recipe's own stays as it is
    (choice,) = choose(slide["tiler"], "GridTiler")
    same = load_config("tiny/slide", [f"{k}={v!r}" for k, v in choice.settings.items()])
    assert same.values == load_config("tiny/slide").values


def test_names_joined_by_plus_are_a_list_with_the_recipes_own_arguments(slide):
    own = load_config("tiny/slide").values["train_dataloader"]["dataset"]["augmentations"]
    chosen = choose(slide["augmentation"], "none,FlipGrid,CropWindow+FlipGrid+TileOrder(by='rows')")
    assert [choice.value for choice in chosen] == [
        [], [own[1]], [own[0], own[1], {"type": "TileOrder", "by": "rows"}],
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="did you mean 'FlipGrid'"):
        choose(slide["augmentation"], "FlipGird")
    with pytest.raises(ConfigError, match="write FlipGrid"):
        choose(slide["augmentation"], "FlipGrid(p=)")
