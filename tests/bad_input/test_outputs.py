"""Names and places that must not lead astray, as the command line meets them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bad_input.building import jpeg_slide

from gigakit.wsi.cohort import Cohort, SlideRow
from gigakit.wsi.tiles import TileTable
from gigakit.wsi.tiling import TilingSettings, tile_cohort

SETTINGS = TilingSettings(segmenter={"type": "OtsuSegmenter"}, tiler={"type": "GridTiler"})


@pytest.fixture
def slide(tmp_path):
    return jpeg_slide(tmp_path / "good.tif")


@pytest.fixture
def tile(tmp_path):
    """Return a function that runs ``gigakit tile`` and returns its last line."""

    def run(*arguments, code):
        done = subprocess.run(
            [sys.executable, "-m", "gigakit", "tile", *map(str, arguments)],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr.strip().splitlines()[-1]

    return run


def test_an_output_that_is_a_file_is_told(slide, tile, tmp_path):
    (tmp_path / "out").write_text("mine")
    line = tile(slide, "--out", "out", code=1)
    assert line.startswith("error: ")
    assert "Not a directory" in line or "File exists" in line
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a folder nobody may write into")
def test_an_output_nobody_may_write_into_is_told(slide, tile):
    line = tile(slide, "--out", "/sys/kernel/gigakit", code=1)
    assert line.startswith("error: /sys/kernel")
    assert "ermi" in line or "Read-only" in line


@pytest.mark.parametrize("name", ["../../escaped", "a/b", "..", "C:x", "a\\b", ".hidden"])
def test_names_that_lead_out_of_the_output_are_refused_before_any_work(slide, tile, tmp_path, name):
    (tmp_path / "slides.csv").write_text(f"slide_id,path\n{name},good.tif\n")
    assert "cannot name a file" in tile("slides.csv", "--out", "out", code=2)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.parent.glob("escaped*"))


def test_equal_names_in_different_folders_are_refused_with_both_places(tile, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        jpeg_slide(tmp_path / folder / "1.tif")
    (tmp_path / "slides.csv").write_text("path\na/1.tif\nb/1.tif\n")
    line = tile("slides.csv", code=2)
    assert "slides.csv:3: slide_id '1' is also that of" in line
    assert "slides.csv:2" in line


def test_a_link_where_a_result_belongs_is_replaced_not_followed(slide, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("somebody's")
    folder = tmp_path / "out" / "tiles" / SETTINGS.folder
    (folder / "overview").mkdir(parents=True)
    for name in ("a.h5", "overview/a.jpg", "status.csv"):
        (folder / name).symlink_to(outside)
    result = tile_cohort(Cohort("c", (SlideRow("a", slide),)), SETTINGS, tmp_path / "out")
    assert result.counts["done"] == 1
    assert outside.read_text() == "somebody's"
    assert not (folder / "a.h5").is_symlink()
    assert len(TileTable.load(folder / "a.h5")) == 9


def test_a_slide_that_may_not_be_read_is_its_own_failure(slide, tmp_path, monkeypatch):
    forbidden = jpeg_slide(tmp_path / "forbidden.tif")
    open_any = Path.open

    # nothing is forbidden to root, so the refusal is played
    def refuse(path, *arguments, **options):
        if path == forbidden:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return open_any(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    rows = (SlideRow("a", forbidden), SlideRow("b", slide))
    result = tile_cohort(Cohort("c", rows), SETTINGS, tmp_path / "out")
    assert [row.state for row in result.slides] == ["failed", "done"]
    assert result.slides[0].reason == f"{forbidden}: cannot be read: Permission denied"
