"""Recipes are found by path or by name, from any folder."""

from __future__ import annotations

import pytest

from gigakit.config import find_recipe, load_config, recipes
from gigakit.config.recipes import recipe_name
from gigakit.core.errors import ConfigError


@pytest.mark.parametrize(
    "given", ["gigapath_slide", "gigapath_slide.py", "registry_configs/gigapath_slide.py"]
)
def test_a_shipped_recipe_is_found_from_any_folder(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loaded = load_config(given)
    assert loaded.path == recipes()["gigapath_slide"]
    assert loaded.name == "gigapath_slide"


def test_names_are_paths_below_the_folder_and_bases_are_none():
    assert "tiny/slide" in recipes()
    assert recipe_name(recipes()["tiny/slide"]) == "tiny/slide"
    assert not any("_base_" in name for name in recipes())


def test_a_file_wins_over_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gigapath_slide").write_text("mine = 1")
    loaded = load_config("gigapath_slide")
    assert (loaded.values, loaded.name) == ({"mine": 1}, "gigapath_slide")


@pytest.mark.parametrize(
    ("given", "fix"),
    [
        ("gigapath_slid", "did you mean 'gigapath_slide'"),
        ("zzz", "gigakit list recipe"),
        (".", "folder"),
    ],
)
def test_an_unknown_recipe_says_what_to_do(given, fix):
    with pytest.raises(ConfigError, match=fix):
        find_recipe(given)
