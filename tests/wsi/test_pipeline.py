"""Tiling a cohort: files, states, idempotence, one bad slide among good ones."""

from __future__ import annotations

import csv
import subprocess
import sys

import numpy as np
import pytest

from gigakit.core.errors import StoreError
from gigakit.wsi.cohort import Cohort, SlideRow
from gigakit.wsi.pipeline import TilingSettings, tile_cohort
from gigakit.wsi.slide import open_slide
from gigakit.wsi.tiles import TileTable

SETTINGS = TilingSettings(
    segmenter={"type": "OtsuSegmenter", "mask_mpp": 8.0}, tiler={"type": "GridTiler"}
)


@pytest.fixture
def slide(make_pyramid, tissue_image):
    path, _ = make_pyramid(mpp=0.5, downsamples=(1, 4), image=tissue_image)
    return path


def cohort(*rows):
    return Cohort("c", tuple(SlideRow(*row) for row in rows))


def statuses(result):
    with (result.folder / "status.csv").open(newline="") as stream:
        return {row["slide_id"]: row for row in csv.DictReader(stream)}


def test_a_slide_gives_tiles_overview_and_status(slide, tmp_path):
    result = tile_cohort(cohort(("a", slide)), SETTINGS, tmp_path / "out")
    table = TileTable.load(result.folder / "a.h5")
    # the square covers 4 x 4 whole cells of 256 px
    assert len(table) == 16
    assert (table.occupancy > 0.99).all()
    assert table.attrs["resampling"] == "none"
    assert table.attrs["effective_mpp"] == pytest.approx([0.5, 0.5])
    assert (result.folder / "overview" / "a.jpg").stat().st_size > 1000
    assert statuses(result)["a"]["state"] == "done"
    assert result.folder.name.startswith("grid256-0.5mpp-")
    with open_slide(slide) as opened:
        tile = table.read(opened, 5)
        x, y = table.coords[5]
        assert np.array_equal(tile, opened.read(0, x, y, 256, 256))


def test_a_second_run_skips_and_other_settings_live_beside(slide, tmp_path):
    first = tile_cohort(cohort(("a", slide)), SETTINGS, tmp_path / "out")
    time = (first.folder / "a.h5").stat().st_mtime_ns
    second = tile_cohort(cohort(("a", slide)), SETTINGS, tmp_path / "out")
    assert second.counts["skipped"] == 1
    assert second.tiles == 16
    assert (first.folder / "a.h5").stat().st_mtime_ns == time
    overlapping = TilingSettings(
        segmenter=SETTINGS.segmenter, tiler={"type": "GridTiler", "overlap": 0.5}
    )
    third = tile_cohort(cohort(("a", slide)), overlapping, tmp_path / "out")
    assert third.folder != first.folder
    assert third.tiles > 40
    assert (first.folder / "a.h5").exists()


def test_a_changed_slide_or_resolution_is_tiled_anew(slide, tmp_path):
    tile_cohort(cohort(("a", slide)), SETTINGS, tmp_path / "out")
    told = tile_cohort(cohort(("a", slide, 0.25)), SETTINGS, tmp_path / "out")
    assert told.counts["done"] == 1
    slide.touch()
    again = tile_cohort(cohort(("a", slide, 0.25)), SETTINGS, tmp_path / "out")
    assert again.counts["done"] == 1


def test_a_damaged_table_is_made_anew(slide, tmp_path, caplog):
    result = tile_cohort(cohort(("a", slide)), SETTINGS, tmp_path / "out")
    path = result.folder / "a.h5"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(StoreError, match="is damaged"):
        TileTable.load(path)
    again = tile_cohort(cohort(("a", slide)), SETTINGS, tmp_path / "out")
    assert again.counts["done"] == 1
    assert "made anew" in caplog.text


def test_bad_slides_do_not_stop_good_ones(slide, tmp_path, make_pyramid):
    white, _ = make_pyramid(
        "white.tif", mpp=0.5, downsamples=(1,), image=np.full((600, 600, 3), 243, np.uint8)
    )
    silent, _ = make_pyramid("silent.tif", mpp=None, downsamples=(1,))
    coarse, _ = make_pyramid("coarse.tif", mpp=2.0, downsamples=(1,))
    (tmp_path / "page.svs").write_text("<html>")
    rows = [
        ("gone", tmp_path / "gone.svs"), ("page", tmp_path / "page.svs"), ("white", white),
        ("silent", silent), ("coarse", coarse), ("good", slide),
    ]  # fmt: skip
    result = tile_cohort(cohort(*rows), SETTINGS, tmp_path / "out")
    found = statuses(result)
    assert {name: row["state"] for name, row in found.items()} == {
        "gone": "failed", "page": "failed", "white": "empty", "silent": "failed",
        "coarse": "failed", "good": "done",
    }  # fmt: skip
    assert "no such file" in found["gone"]["reason"]
    assert "text page" in found["page"]["reason"]
    assert "resolution" in found["silent"]["reason"]
    assert "coarser" in found["coarse"]["reason"]
    assert {path.name for path in result.folder.glob("*.h5")} == {"good.h5"}


def test_real_damage_fails_that_slide(shared, slide, tmp_path):
    odd = shared / "data" / "odd"
    rows = [("marker", odd / "bad_jpeg_marker.svs"), ("tile", odd / "corrupt_tile_generic.tif")]
    result = tile_cohort(cohort(*rows, ("good", slide)), SETTINGS, tmp_path / "out")
    assert [row.state for row in result.slides] == ["failed", "failed", "done"]
    assert all("damaged" in row.reason for row in result.slides[:2])


def test_the_sample_has_49_of_88_tiles(shared, tmp_path):
    path = shared / "data" / "slides" / "cmu-1-small-region.svs"
    result = tile_cohort(cohort(("cmu", path)), SETTINGS, tmp_path / "out")
    table = TileTable.load(result.folder / "cmu.h5")
    assert (table.attrs["cells"], len(table)) == (88, 49)
    assert table.attrs["effective_mpp"][0] == pytest.approx(0.499)
    assert len({tuple(cell) for cell in table.grid.tolist()}) == 49


def test_a_jpeg2000_slide_without_resolution_is_tiled_when_told(shared, tmp_path):
    path = shared / "data" / "slides" / "tcga-cr-7395-01a-01-ts1.svs"
    silent = tile_cohort(cohort(("t", path)), SETTINGS, tmp_path / "out")
    assert "give --mpp" in silent.slides[0].reason
    told = tile_cohort(cohort(("t", path, 0.5)), SETTINGS, tmp_path / "out")
    assert told.slides[0].state == "done"
    assert told.tiles > 20


def test_tiling_leaves_torch_out(slide, tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from gigakit.wsi.cohort import read_cohort\n"
        "from gigakit.wsi.pipeline import TilingSettings, tile_cohort\n"
        "settings = TilingSettings(segmenter=dict(type='OtsuSegmenter'),"
        "                          tiler=dict(type='GridTiler'))\n"
        "result = tile_cohort(read_cohort(sys.argv[1]), settings, Path(sys.argv[2]))\n"
        "assert result.tiles == 16, result\n"
        "assert 'torch' not in sys.modules\n"
    )
    command = [sys.executable, "-c", code, str(slide), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
