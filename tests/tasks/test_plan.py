"""The plan of a cohort: exact where all is probed, an interval that holds where not."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from gigakit.cli.plan import _line
from gigakit.config import load_checked
from gigakit.core.errors import ConfigError
from gigakit.registry import TASKS
from gigakit.tasks.plan import Estimate, _stratified, plan_cohort
from gigakit.wsi.cohort import Cohort, SlideRow, read_cohort


@pytest.fixture
def task():
    preparation = load_checked("gigapath_slide", (), section=None).values["preparation"]
    preparation["tiler"]["tile_size_px"] = 64
    preparation["batch_size"] = 2
    return TASKS.build(preparation)


@pytest.fixture
def cohort(tmp_path):
    """Slides of 1 to 15 tiles, and one that is none."""
    generator = np.random.default_rng(0)
    rows = []
    for number in range(15):
        image = np.full((256, 256, 3), 240, dtype=np.uint8)
        tissue = generator.integers(90, 160, (256, 256, 3))
        for cell in range(number + 1):
            y, x = 64 * (cell // 4), 64 * (cell % 4)
            image[y : y + 64, x : x + 64] = tissue[y : y + 64, x : x + 64]
        path = tmp_path / f"s{number}.png"
        cv2.imwrite(str(path), image)
        rows.append(SlideRow(path.stem, path, 0.5))
    (tmp_path / "broken.svs").write_text("<html>")
    return Cohort("c", (*rows, SlideRow("broken", tmp_path / "broken.svs")))


def by_name(plan):
    return {estimate.name: estimate for estimate in plan.estimates}


def test_when_all_slides_are_probed_the_counts_are_exact(cohort, task):
    lines = []
    plan = plan_cohort(cohort, task, probe=99, announce=lines.append)
    assert plan.probed == plan.slides == 16
    assert len(plan.failed) == 1
    assert "text page" in plan.failed[0]
    found = by_name(plan)
    assert found["tiles"].total == found["tiles"].low == sum(range(1, 16))
    assert found["slide files"].total == sum(row.path.stat().st_size for row in cohort.slides)
    # 192 numbers in float16, coordinates, grid
    assert found["feature files"].total == found["tiles"].total * (192 * 2 + 32)
    assert found["tiling"].total > 0
    assert found["reading tiles"].total > 0
    assert found["model, this machine"].total > 0
    # patches of 16 px, 196 and a class token, width 192: linear layers and attention of 6 blocks
    tokens, width = 197, 192
    block = 2 * tokens * 12 * width**2 + 4 * tokens**2 * width
    # 3 x 3 convolutions of the stem by side of what they give, and the 1 x 1 at its end
    widths, sides = (3, 16, 16, 24, 48, 96), (224, 112, 56, 28, 14)
    pairs = zip(sides, widths, widths[1:], strict=False)
    stem = sum(2 * side**2 * 9 * before * after for side, before, after in pairs)
    # the last block's feed-forward layers see the class token alone
    flops = 6 * block - 196 * 16 * width**2 + stem + 2 * 196 * 96 * width
    assert found["model"].total / found["tiles"].total == pytest.approx(flops, rel=1e-6)
    assumed = found["model, assumed device"].total
    assert assumed == pytest.approx(found["model"].total / 100e12)
    assert len(lines) == 16


def test_an_interval_of_a_probe_holds_the_truth(cohort, task):
    found = by_name(plan_cohort(cohort, task, probe=8, announce=lambda _: None))
    tiles = found["tiles"]
    assert tiles.low < sum(range(1, 16)) < tiles.high
    assert tiles.low < tiles.total < tiles.high


def test_strata_cover_all_sizes_and_follow_the_seed():
    sizes = np.random.default_rng(0).permutation(100)
    chosen = _stratified(sizes, 10, seed=1)
    assert sorted(int(sizes[i]) // 10 for i in chosen) == list(range(10))
    assert chosen == _stratified(sizes, 10, seed=1)
    assert chosen != _stratified(sizes, 10, seed=2)


def test_a_cohort_of_which_nothing_can_be_used_is_refused(tmp_path, task):
    (tmp_path / "broken.svs").write_text("<html>")
    with pytest.raises(ConfigError, match="text page"):
        plan_cohort(read_cohort(tmp_path), task, announce=lambda _: None)


def test_units_are_such_that_few_digits_tell():
    def shown(total, unit):
        return _line(Estimate("x", unit, total, total / 2, total * 2, "b"))[1:3]

    assert shown(7200, "CPU s") == ("2 CPU h", "1 to 4")
    assert shown(30, "device s") == ("30 device s", "15 to 60")
    assert shown(2.5e12, "bytes") == ("2.5 TB", "1.25 to 5")
    assert shown(3e15, "FLOP") == ("3 PFLOP", "1.5 to 6")
    assert shown(16_180_000, "") == ("16,180,000", "8,090,000 to 32,360,000")


def test_the_command_prints_json(tmp_path, shared):
    slide = shared / "data/slides/cmu-1-small-region.svs"
    with (tmp_path / "slides.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path",), (slide,)])
    done = subprocess.run(
        [sys.executable, "-m", "gigakit", "plan", tmp_path / "slides.csv", "--json"],
        capture_output=True, text=True, check=True, timeout=120, cwd=tmp_path,
    )  # fmt: skip
    found = {e["name"]: e["total"] for e in json.loads(done.stdout)["estimates"]}
    assert found["tiles"] == 49
    assert not (tmp_path / "work_dirs").exists()
