"""A run's config, read again, is the same config."""

from __future__ import annotations

import json

import pytest

from gigakit.config import (
    apply_section,
    find_recipe,
    load_checked,
    load_config,
    recipes,
    rerunnable_text,
)
from gigakit.config.recipes import RUN_RECORD, recipe_name


def again(loaded, folder):
    path = folder / "config.py"
    path.write_text(rerunnable_text(loaded), encoding="utf-8")
    return load_checked(path)


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_survives(tmp_path, name):
    loaded = apply_section(load_config(name), "sample")
    assert again(loaded, tmp_path).values == loaded.values


def test_overrides_win_over_the_sample_section_when_read_again_too(tmp_path):
    loaded = load_checked("gigapath_slide", ["model.encoder.width=96", "cohort=sample"])
    values = again(loaded, tmp_path).values
    assert values["model"]["encoder"]["width"] == 96
    assert values["model"]["encoder"]["depth"] == 3
    assert "sample" not in values


def test_overrides_are_told_at_the_head(tmp_path):
    text = rerunnable_text(load_checked("tiny/slide", ["model.mask_ratio=0.5"]))
    assert text.splitlines()[:2] == [
        "# tiny/slide, resolved: bases, sections and overrides are worked in",
        "# --set model.mask_ratio=0.5",
    ]


def test_files_imported_by_a_recipe_are_found_from_elsewhere(write, tmp_path):
    write("", "own/mine.py")
    path = write('cohort = "x.csv"\ncustom_imports = dict(imports=["mine.py", "json"])', "own/r.py")
    run = tmp_path / "runs"
    run.mkdir()
    found = again(load_checked(path), run).values["custom_imports"]["imports"]
    assert found == [str(tmp_path / "own/mine.py"), "json"]


def test_a_runs_folder_stands_for_its_config_and_has_its_recipes_name(tmp_path):
    (tmp_path / "config.py").write_text("cohort = 'sample'\n", encoding="utf-8")
    assert find_recipe(tmp_path) == tmp_path / "config.py"
    assert recipe_name(tmp_path / "config.py") == "config"
    (tmp_path / RUN_RECORD).write_text(json.dumps({"recipe": "tiny/slide"}), encoding="utf-8")
    assert recipe_name(tmp_path / "config.py") == "tiny/slide"
