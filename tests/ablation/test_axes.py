"""Axes and the values a user names."""

from __future__ import annotations

import pytest

from gigakit.ablation.axes import choose, free_axis, recipe_axes, split_values
from gigakit.ablation.plan import with_sample_section
from gigakit.config import load_config
from gigakit.core.errors import ConfigError

RECIPE = {
    "ablation": {
        "attention": {
            "key": "model.encoder.attention",
            "cells": {
                "dilated": {"type": "DilatedAttention"},
                "flash": {"type": "FullAttention", "backend": "flash"},
            },
        },
        "mask_ratio": {"key": "model.mask_ratio", "values": [0.5, 0.75]},
        "size": {"sets": {"as_is": {}, "small": {"model.width": 8, "model.depth": 1}}},
    }
}


def test_flags_and_cells_come_from_the_recipe():
    axes = recipe_axes(RECIPE)
    assert [axis.flag for axis in axes.values()] == ["--attention", "--mask-ratio", "--size"]
    chosen = choose(axes["attention"], "dilated,flash")
    assert [choice.label for choice in chosen] == ["dilated", "flash"]
    assert chosen[1].value == {"type": "FullAttention", "backend": "flash"}


def test_a_cell_may_set_several_keys():
    axis = recipe_axes(RECIPE)["size"]
    assert axis.keys == ("model.width", "model.depth")
    assert axis.kind is None
    assert [choice.settings for choice in choose(axis, "as_is,small")] == [
        {},
        {"model.width": 8, "model.depth": 1},
    ]
    with pytest.raises(ConfigError, match="did you mean 'small'"):
        choose(axis, "smalll")
    (choice,) = choose(recipe_axes(RECIPE)["mask_ratio"], "0.75")
    assert choice.settings == {"model.mask_ratio": 0.75}


def test_a_registered_name_stands_for_the_component():
    (choice,) = choose(recipe_axes(RECIPE)["attention"], "FullAttention")
    assert choice.value == {"type": "FullAttention"}


def test_numbers_beyond_the_declared_ones_are_values():
    chosen = choose(recipe_axes(RECIPE)["mask_ratio"], "0.5,0.9")
    assert [choice.value for choice in chosen] == [0.5, 0.9]


def test_a_misspelt_value_is_refused_with_a_suggestion():
    with pytest.raises(ConfigError, match="did you mean 'dilated'"):
        choose(recipe_axes(RECIPE)["attention"], "dilatd")


@pytest.mark.parametrize("text", ["dilated,dilated", "", ","])
def test_a_value_named_twice_or_none_is_refused(text):
    with pytest.raises(ConfigError, match="once"):
        choose(recipe_axes(RECIPE)["attention"], text)


def test_any_key_can_be_an_axis():
    axis, text = free_axis("model.decoder.depth=1,2")
    assert axis.key == "model.decoder.depth"
    assert [choice.value for choice in choose(axis, text)] == [1, 2]
    with pytest.raises(ConfigError, match="write --axis key=v1,v2"):
        free_axis("model.decoder.depth")


def test_commas_inside_brackets_do_not_split():
    assert split_values("1,(2,3),[4, 5]") == ["1", "(2,3)", "[4, 5]"]


def test_the_samples_section_changes_cells_too():
    loaded = load_config("gigapath_slide", with_sample_section("gigapath_slide", ()))
    cells = recipe_axes(loaded.values)["attention"].cells
    assert cells["local"] == {"type": "LocalAttention", "reach": 8}
    own = with_sample_section("gigapath_slide", ("cohort='slides.csv'",))
    assert recipe_axes(load_config("gigapath_slide", own).values)["attention"].cells["local"] == {
        "type": "LocalAttention"
    }
    # own features and tiles are no sample either
    assert with_sample_section("gigapath_slide", ("features=DIR",)) == ("features=DIR",)
    assert with_sample_section("gigapath_tile", ("tiles=DIR",)) == ("tiles=DIR",)
