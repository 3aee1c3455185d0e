"""The benchmark of slide readers builds its slides and reads them in every way."""

import json
import subprocess
import sys


def test_every_way_reads_the_same_slides(repository, shared, tmp_path):
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [
            *(sys.executable, "tools/bench/slide_readers.py", tmp_path / "slides"),
            *("--side", "7680", "--tiles", "8", "--turns", "1", "--json", figures),
        ],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(figures.read_text())
    assert [slide["slide"] for slide in found["slides"]] == [
        "steps4, 0.5 µm/px",
        "steps2, 0.5 µm/px",
        "single, 0.5 µm/px",
        "steps4, 0.25 µm/px",
    ]
    for slide in found["slides"]:
        assert slide["identical"]
        assert {"limit", "gigakit", "openslide", "openslide/PIL"} <= set(slide["times"])
    halved = found["slides"][0]
    assert halved["psnr"] > 40
    assert {"limit, half", "gigakit area"} <= set(halved["times"])
    assert all(slide["psnr"] is None for slide in found["slides"][1:])
    assert set(found["thumbnail"]) == {"gigakit", "openslide, strips"}
