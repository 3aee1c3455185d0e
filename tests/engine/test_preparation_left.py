"""What a training would prepare first."""

from __future__ import annotations

import pytest

from gigakit.config import load_checked
from gigakit.engine.preparation_left import preparation_left


@pytest.fixture
def cohort(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.svs").touch()
    (tmp_path / "slides.csv").write_text("path\na.svs\nb.svs\n", encoding="utf-8")
    return load_checked("tiny/slide", ["cohort=slides.csv"]).values


def test_tiles_and_embeddings_are_told_and_what_is_there_is_not(cohort, tmp_path):
    lines = preparation_left(cohort)
    assert [line.partition(", into ")[0] for line in lines] == [
        "tile 2 of 2 slides",
        "embed 2 of 2 slides",
    ]
    assert not (tmp_path / "work_dirs").exists()
    for line, names in zip(lines, (("a", "b"), ("a",)), strict=True):
        folder = tmp_path / line.partition(", into ")[2]
        folder.mkdir(parents=True)
        for name in names:
            (folder / f"{name}.h5").touch()
    (left,) = preparation_left(cohort)
    assert left.startswith("embed 1 of 2 slides, into work_dirs/stores/slides/features/")


def test_what_a_recipe_names_needs_no_preparation(feature_folder):
    values = load_checked("tiny/slide", [f"features={feature_folder}"]).values
    assert preparation_left(values) == []
    assert preparation_left({**values, "features": None, "cohort": None}) == []


def test_recipes_of_tiles_tile_alone(cohort, tmp_path):
    values = load_checked("tiny/tile", ["cohort=slides.csv"]).values
    (line,) = preparation_left(values)
    assert line.startswith("tile 2 of 2 slides, into work_dirs/stores/slides/tiles/grid256")
