"""The benchmark of embedding runs every way on the same tiles."""

import json
import subprocess
import sys


def test_every_way_is_timed(repository, shared, tmp_path):
    figures = tmp_path / "figures.json"
    slide = shared / "data/slides/cmu-1-small-region.svs"
    done = subprocess.run(
        [
            *(sys.executable, "tools/bench/embedding.py", slide, "--tiles", "8", "--turns", "1"),
            *("--widths", "64", "--json", figures),
        ],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = json.loads(figures.read_text())
    assert set(row["times"]) == {"decode", "model", "one by one", "gigakit"}
    assert row["tiles"] == 8
    assert row["floor"] == max(row["times"][name][1] for name in ("decode", "model"))
    assert "gigakit / floor" in done.stdout
