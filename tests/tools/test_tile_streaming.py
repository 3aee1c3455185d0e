"""The benchmark of streaming tells what share of a step reading takes."""

import json
import subprocess
import sys

import pytest


def test_each_visit_has_its_share_of_a_step(repository, shared, tmp_path):
    figures = tmp_path / "figures.json"
    slide = shared / "data/slides/cmu-1-small-region.svs"
    done = subprocess.run(
        [
            *(sys.executable, "tools/bench/tile_streaming.py", slide, "--tiles", "32"),
            *("--turns", "1", "--batch", "1", "--widths", "64", "--json", figures),
        ],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(figures.read_text())
    assert [row["visit"] for row in rows] == [1, 4, 16]
    for row in rows:
        assert row["share"] == pytest.approx(row["read"] / (row["read"] + row["step"]))
        assert 0 < row["share"] < 0.5
