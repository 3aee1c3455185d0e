"""``gigakit heatmap``: a picture a slide, tiles for QuPath, and a word on what is missing."""

from __future__ import annotations

import json
import sys

import cv2
import numpy as np
import pytest

from gigakit.cli.app import main
from gigakit.wsi.features import read_features
from gigakit.wsi.tiles import TileTable


@pytest.fixture
def call(monkeypatch, capsys):
    def ask(*arguments):
        monkeypatch.setattr(sys, "argv", ["gigakit", "heatmap", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        return caught.value.code, captured.out, captured.err

    return ask


def write_tiles(folder, features, slide):
    """Write a tile file and a white overview of a slide's features."""
    grid = read_features(features / f"{slide}.h5").grid
    table = TileTable.from_grid(slide, grid)
    side = int(grid.max() + 1) * 256
    table.attrs["slide_size"] = (side, side)
    table.columns["blur"] = np.full(len(grid), 0.25, np.float32)
    table.save(folder / f"{slide}.h5")
    (folder / "overview").mkdir(exist_ok=True)
    cv2.imwrite(str(folder / "overview" / f"{slide}.jpg"), np.full((300, 300, 3), 255, np.uint8))


def test_without_tiles_the_grid_is_drawn(run, call, tmp_path):
    folder, given = run
    code, out, err = call(
        "tasks/abmil", folder, *given, "--device=cpu", f"--out={tmp_path}", "--most=2"
    )
    assert code == 0, err
    lines = out.splitlines()
    assert len(lines) == 2
    assert "label benign, predicted" in lines[0]
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".jpg", ".jpg"]
    assert "no GeoJSON" in err
    assert "2 slides of split test are not drawn" in err


def test_over_the_overview_with_tiles_for_qupath(run, cohort, call, tmp_path):
    folder, given = run
    tiles = tmp_path / "tiles"
    tiles.mkdir()
    write_tiles(tiles, cohort[0], "slide09")
    options = ["--slide=slide09", f"--tiles={tiles}", f"--out={tmp_path}", "--output=tumour"]
    code, _, err = call("tasks/abmil", folder, *given, "--device=cpu", *options)
    assert code == 0, err
    picture = cv2.imread(str(tmp_path / "slide09.jpg"))
    # overview, attention, contribution
    assert picture.shape == (26 + 44 + 300, 3 * 316 + 8, 3)
    features = json.loads((tmp_path / "slide09.geojson").read_text())["features"]
    stored = read_features(cohort[0] / "slide09.h5")
    assert len(features) == len(stored.grid)
    measured = [feature["properties"]["measurements"] for feature in features]
    assert sum(one["attention"] for one in measured) == pytest.approx(1.0, abs=1e-4)
    assert measured[0]["blur"] == 0.25
    # of two classes, what speaks for one speaks against the other
    for one in measured:
        assert one["contribution tumour"] == pytest.approx(-one["contribution benign"], rel=1e-4)
    corner = features[1]["geometry"]["coordinates"][0][0]
    assert corner == (stored.grid[1] * 256).tolist()
    assert {feature["properties"]["objectType"] for feature in features} == {"tile"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output=cancer"], "benign, tumour"),
        (["--slide=nowhere"], "not of this split"),
        (["--split=tune"], "train, val or test"),
        (["--tiles=nowhere"], "no tiles of slide08"),
    ],
)
def test_what_is_wrong_is_one_line(run, call, tmp_path, options, message):
    folder, given = run
    code, out, err = call(
        "tasks/abmil", folder, *given, "--device=cpu", f"--out={tmp_path}", *options
    )
    assert code != 0
    assert out == ""
    lines = [line for line in err.splitlines() if not line.startswith("note")]
    assert len(lines) == 1
    assert message in lines[0]
