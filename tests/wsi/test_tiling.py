"""Tiling a cohort: files, states, idempotence, one bad slide among good ones."""

from __future__ import annotations

import csv
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from gigakit.core.errors import ConfigError, StoreError
from gigakit.wsi.cohort import Cohort, SlideRow
from gigakit.wsi.slide import open_slide
from gigakit.wsi.tiles import TileTable
from gigakit.wsi.tiling import TilingSettings, tile_cohort

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


def test_an_empty_slide_is_not_read_again(make_pyramid, tmp_path, monkeypatch):
    white = np.full((600, 600, 3), 240, dtype=np.uint8)
    path, _ = make_pyramid(mpp=0.5, downsamples=(1,), image=white)
    settings = replace(SETTINGS, quality=[{"type": "Blur"}, {"type": "Pen"}])
    first = tile_cohort(cohort(("a", path)), settings, tmp_path / "out")
    monkeypatch.setattr("gigakit.wsi.tiling.open_slide", None)
    second = tile_cohort(cohort(("a", path)), settings, tmp_path / "out")
    assert first.counts["empty"] == second.counts["empty"] == 1
    assert first.slides[0].reason == second.slides[0].reason


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
    # the empty slide's file remembers that it was looked at
    assert {path.name for path in result.folder.glob("*.h5")} == {"good.h5", "white.h5"}
    assert len(TileTable.load(result.folder / "white.h5")) == 0


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
        "from gigakit.wsi.tiling import TilingSettings, tile_cohort\n"
        "settings = TilingSettings(segmenter=dict(type='OtsuSegmenter'),"
        "                          tiler=dict(type='GridTiler'))\n"
        "result = tile_cohort(read_cohort(sys.argv[1]), settings, Path(sys.argv[2]))\n"
        "assert result.tiles == 16, result\n"
        "assert 'torch' not in sys.modules\n"
    )
    command = [sys.executable, "-c", code, str(slide), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_low_resolution_slide_is_told_to_be_coarser(shared, tmp_path):
    path = shared / "data" / "slides" / "camelyon_lowres.dcm"
    result = tile_cohort(cohort(("c", path)), SETTINGS, tmp_path / "out")
    assert result.slides[0].state == "failed"
    assert "by 28.968 µm/px, coarser than the 0.5 wanted" in result.slides[0].reason


def test_what_no_one_foresaw_fails_one_slide(slide, tmp_path, monkeypatch):
    from gigakit.wsi import tiling

    open_one = tiling.open_slide

    def odd(path, **options):
        if path.name == "odd.svs":
            raise ZeroDivisionError("two\nlines")
        return open_one(path, **options)

    monkeypatch.setattr(tiling, "open_slide", odd)
    result = tile_cohort(
        cohort(("odd", tmp_path / "odd.svs"), ("good", slide)), SETTINGS, tmp_path / "out"
    )
    assert [row.state for row in result.slides] == ["failed", "done"]
    assert "cannot be tiled: ZeroDivisionError: two lines" in result.slides[0].reason


def test_settings_that_cannot_be_built_stop_the_cohort(slide, tmp_path):
    wrong = TilingSettings(
        segmenter={"type": "OtsuSegmenter", "mask_mpp": -1}, tiler=SETTINGS.tiler
    )
    with pytest.raises(ConfigError, match="mask_mpp"):
        tile_cohort(cohort(("a", slide)), wrong, tmp_path / "out")


def test_a_slide_smaller_than_a_tile_says_so(shared, tmp_path):
    path = shared / "data" / "odd" / "tiny_valid_16px.svs"
    result = tile_cohort(cohort(("t", path)), SETTINGS, tmp_path / "out")
    assert result.slides[0].state == "empty"
    assert "its 16 x 16 px hold no whole tile of 256 x 256 px" in result.slides[0].reason


def test_tiles_of_a_slide_that_became_empty_are_removed(make_pyramid, tissue_image, tmp_path):
    path, _ = make_pyramid(mpp=0.5, downsamples=(1,), image=tissue_image)
    first = tile_cohort(cohort(("a", path)), SETTINGS, tmp_path / "out")
    assert (first.folder / "a.h5").exists()
    make_pyramid(mpp=0.5, downsamples=(1,), image=np.full((600, 600, 3), 243, np.uint8))
    second = tile_cohort(cohort(("a", path)), SETTINGS, tmp_path / "out")
    assert second.counts["empty"] == 1
    assert len(TileTable.load(first.folder / "a.h5")) == 0


def test_the_overview_of_a_small_slide_shows_more_than_its_mask(make_pyramid, tmp_path):
    image = np.full((1024, 1024, 3), 240, dtype=np.uint8)
    image[256:768, 256:768] = 180
    image[256:768, 256:768:8] = image[256:768, 257:768:8] = 60  # lines of 1 µm, 4 µm apart
    path, _ = make_pyramid(mpp=0.5, downsamples=(1,), image=image)
    result = tile_cohort(cohort(("a", path)), SETTINGS, tmp_path / "out")
    picture = cv2.imread(str(result.folder / "overview" / "a.jpg"), cv2.IMREAD_GRAYSCALE)
    assert picture.shape == (1024 + 26, 1024)
    assert picture[300:500, 300:500].std(axis=1).mean() > 30


# a process inherits the peak that getrusage tells; VmHWM is its own
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's VmHWM")
def test_a_large_slide_of_one_level_is_never_held_whole(tmp_path):
    side, tile = 8192, 512
    path = tmp_path / "large.tif"
    generator = np.random.default_rng(0)
    light = np.full((tile, tile, 3), 240, dtype=np.uint8)
    dark = generator.integers(60, 140, (tile, tile, 3), dtype=np.uint8)
    # few different tiles, compressed once
    packed = [zlib.compress(pixels.tobytes(), 1) for pixels in (light, dark)]
    tiles = (packed[number % 5 == 0] for number in range((side // tile) ** 2))
    with tifffile.TiffWriter(path) as writer:
        writer.write(
            tiles, shape=(side, side, 3), dtype=np.uint8, tile=(tile, tile), photometric="rgb",
            compression="zlib", resolution=(2e4, 2e4), resolutionunit="CENTIMETER",
        )  # fmt: skip
    code = (
        "import sys; from pathlib import Path\n"
        "from gigakit.wsi.cohort import read_cohort\n"
        "from gigakit.wsi.tiling import TilingSettings, tile_cohort\n"
        "from gigakit.wsi.slide import open_slide\n"
        "settings = TilingSettings(segmenter=dict(type='OtsuSegmenter'),"
        "                          tiler=dict(type='GridTiler'))\n"
        "rows = read_cohort(sys.argv[1])\n"
        "open_slide(rows.slides[0].path).close()\n"
        "def peak():\n"
        "    lines = Path('/proc/self/status').read_text().splitlines()\n"
        "    return next(int(line.split()[1]) for line in lines if line.startswith('VmHWM'))\n"
        "before = peak()\n"
        "result = tile_cohort(rows, settings, Path(sys.argv[2]))\n"
        "print(result.tiles, (peak() - before) * 1024)\n"
    )
    command = [sys.executable, "-c", code, str(path), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found, grown = (int(word) for word in done.stdout.split())
    assert found == 208
    # OpenSlide hands out four bytes a px
    assert grown < 4 * side**2, f"{grown / 1e6:.0f} MB"
