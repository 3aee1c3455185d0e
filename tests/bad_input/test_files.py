"""Every bad file in one cohort: its own row, exit code 3, and the others untouched."""

from __future__ import annotations

import csv
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bad_input.building import SIDE, jpeg_slide, tissue
from bad_input.cases import CASES

from gigakit.core.errors import DamagedRegionError
from gigakit.wsi.slide import open_slide
from gigakit.wsi.tiles import TileTable

GOOD = ("first-good", "last-good")


class Run:
    """What ``gigakit tile`` made of the cohort."""

    def __init__(self, folder: Path) -> None:
        self.slides = folder / "slides"
        self.slides.mkdir()
        rows = [("first-good", jpeg_slide(self.slides / "first.tif"))]
        for name, case in CASES.items():
            rows.append((name, case.make(self.slides / f"{name}{case.suffix}")))
        rows.append(("last-good", jpeg_slide(self.slides / "last.tif")))
        with (folder / "slides.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([("slide_id", "path"), *rows])
        command = ["-m", "gigakit", "tile", "slides.csv", "--out", "out", "--workers", "0"]
        self.done = subprocess.run(
            [sys.executable, *command],
            cwd=folder, capture_output=True, text=True, check=False,
            # no file here is worth two gigabytes, whatever its header asks for
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30)),
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        (self.tiles,) = (folder / "out" / "tiles").iterdir()
        with (self.tiles / "status.csv").open(newline="", encoding="utf-8") as stream:
            self.rows = {row["slide_id"]: row for row in csv.DictReader(stream)}

    def table(self, name):
        return TileTable.load(self.tiles / f"{name}.h5")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run(tmp_path_factory.mktemp("bad"))


@pytest.mark.parametrize("name", CASES)
def test_the_row_says_what_was_found(run, name):
    case, row = CASES[name], run.rows[name]
    assert row["state"] == case.state, row["reason"]
    if not case.reason:
        assert row["reason"] == ""
    assert re.search(case.reason, row["reason"]), row["reason"]
    assert "\n" not in row["reason"]
    if case.state == "failed":
        # the cause names its slide's path
        assert row["reason"].startswith(str(run.slides))
        assert not (run.tiles / f"{name}.h5").exists()
    if case.state == "done":
        assert len(run.table(name)) == int(row["tiles"]) > 0


def test_the_end_is_one_line_and_its_own_exit_code(run):
    assert run.done.returncode == 3, run.done.stderr[-2000:]
    assert "Traceback" not in run.done.stderr
    failed = sum(case.state == "failed" for case in CASES.values())
    assert f"{failed} failed" in run.done.stdout
    assert run.done.stderr.strip().splitlines()[-1].startswith("error: ")


def test_rows_stand_in_the_cohorts_order_and_good_slides_are_whole(run):
    assert list(run.rows) == ["first-good", *CASES, "last-good"]
    for name in GOOD:
        assert run.rows[name]["state"] == "done"
        assert len(run.table(name)) == 9


def test_what_is_damaged_is_no_made_up_pixel(run):
    for name in ("tile-zeroed", "tile-half-zero", "tile-noise", "hostile-frame"):
        table = run.table(name)
        lost = []
        with open_slide(run.slides / f"{name}.tif") as slide:
            for number, place in enumerate(table.coords.tolist()):
                try:
                    table.read(slide, number)
                except DamagedRegionError:
                    lost.append(tuple(place))
        # tile 120 of 16 a row: column 8, row 7
        assert lost == [(512, 256)], name


@pytest.mark.parametrize("name", ["16-bit", "grey", "deflate"])
def test_other_kinds_of_pixels_are_read_exactly(run, name):
    with open_slide(run.slides / f"{name}.tif") as slide:
        region = slide.read(0, 0, 0, SIDE, SIDE)
    wanted = tissue()[..., :1].repeat(3, axis=2) if name == "grey" else tissue()
    assert np.array_equal(region, wanted)


def test_what_is_transparent_or_left_out_is_glass_not_black(run):
    with open_slide(run.slides / "transparent.tif") as slide:
        assert (slide.read(0, 0, 0, SIDE, 90) == 255).all()
    with open_slide(run.slides / "tile-left-out.tif") as slide:
        assert (slide.read(0, 520, 520, 200, 200) == 255).all()


def test_resolutions_are_those_told(run):
    for name, level, mpp in (
        ("mpp-comma", 0, 0.499), ("mpp-20x", 0, 0.5), ("levels-1-4-64", 1, 0.5),
        ("levels-1-16-4", 1, 0.5), ("levels-3.9997", 1, 0.5),
    ):  # fmt: skip
        attrs = run.table(name).attrs
        assert attrs["effective_mpp"] == pytest.approx([mpp, mpp], rel=2e-3), name
        assert attrs["level"] == level, name


def test_a_second_run_tries_what_failed_and_nothing_else(run):
    from gigakit.wsi.cohort import Cohort, SlideRow
    from gigakit.wsi.tiling import TilingSettings, tile_cohort

    good = jpeg_slide(run.slides / "again.tif")
    bad = run.slides / "half.tif"
    settings = TilingSettings(segmenter={"type": "OtsuSegmenter"}, tiler={"type": "GridTiler"})
    cohort = Cohort("c", (SlideRow("a", good), SlideRow("b", bad)))
    first = tile_cohort(cohort, settings, run.slides / "out")
    assert [slide.state for slide in first.slides] == ["done", "failed"]
    bad.write_bytes(good.read_bytes())
    second = tile_cohort(cohort, settings, run.slides / "out")
    assert [slide.state for slide in second.slides] == ["skipped", "done"]
