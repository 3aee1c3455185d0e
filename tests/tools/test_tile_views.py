"""The benchmark of tiles' views makes them in every way."""

import json
import subprocess
import sys


def test_every_way_is_timed(repository, tmp_path):
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "tools/bench/tile_views.py", "--images", "2", "--turns", "1",
         "--json", figures],
        cwd=repository, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(figures.read_text())
    assert {"per view", "gigakit, exact", "gigakit, fast"} < set(found)
    assert min(found.values()) > 0
