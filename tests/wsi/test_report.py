"""The cohort's page and the GeoJSON: what they say, and that no name can break them."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest

from gigakit.core.errors import StoreError
from gigakit.wsi.cohort import Cohort, SlideRow
from gigakit.wsi.geojson import write_geojson
from gigakit.wsi.report import write_report
from gigakit.wsi.status import read_status
from gigakit.wsi.tiles import TileTable
from gigakit.wsi.tiling import TilingSettings, tile_cohort

SETTINGS = TilingSettings(
    segmenter={"type": "OtsuSegmenter"},
    tiler={"type": "GridTiler"},
    quality=[{"type": "Pen"}, {"type": "Blur"}],
)
HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture
def slide(make_pyramid, tissue_image):
    path, _ = make_pyramid(mpp=0.5, downsamples=(1, 4), image=tissue_image)
    return path


@pytest.fixture
def folder(slide, tmp_path):
    missing = tmp_path / HOSTILE.replace("/", "_")
    rows = (SlideRow("good", slide), SlideRow("<b>'\"&", slide), SlideRow("lost", missing))
    return tile_cohort(Cohort("c", rows), SETTINGS, tmp_path / "stores").folder


def data_of(page):
    text = page.read_text(encoding="utf-8")
    (found,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', text)
    return text, {row["id"]: row for row in json.loads(found)}


def test_the_page_has_every_slide_with_its_facts(folder):
    made = write_report(folder)
    assert (made.slides, made.pictures) == (3, 2)
    text, rows = data_of(made.path)
    good = rows["good"]
    assert good["state"] == "done"
    assert good["tiles"] == 16
    # 16 tiles of 128 µm that are wholly tissue
    assert good["mm2"] == pytest.approx(16 * 0.128**2, abs=0.006)
    assert good["mpp"] == 0.5
    assert good["q_pen"] == 0
    assert 0 < good["q_blur"] < 1
    assert rows["lost"]["state"] == "failed"
    assert "no such file" in rows["lost"]["reason"]
    assert "picture" in good
    assert "<b>32</b><span>tiles</span>" in text
    assert "OtsuSegmenter" in text


def test_names_and_reasons_are_text_and_nothing_else(folder):
    text, rows = data_of(write_report(folder, title=HOSTILE).path)
    assert "<img" not in text
    assert "onerror=alert(1)>" not in text
    assert rows["<b>'\"&"]["state"] == "done"
    assert "onerror" in rows["lost"]["reason"]


def test_the_page_needs_nothing_from_elsewhere(folder):
    text, _ = data_of(write_report(folder).path)
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:|overview/)[^"']*""", text)
    assert "http" not in text.replace("http-equiv", "")
    assert "$" not in re.sub(r"\$\{", "", text)


def test_pictures_can_be_limited(folder):
    made = write_report(folder, most_pictures=1)
    assert made.pictures == 1
    _, rows = data_of(made.path)
    assert sum(bool(row.get("picture")) for row in rows.values()) == 1


def test_features_of_these_tiles_are_told(folder):
    digest = folder.name.rpartition("-")[2]
    for name, tiling in (("vit-1", digest), ("other", "00000000")):
        features = folder.parents[1] / "features" / name
        features.mkdir(parents=True)
        (features / "settings.json").write_text(json.dumps({"tiling": tiling}))
        (features / "status.csv").write_text(
            "slide_id,state,tiles,seconds,reason\ngood,skipped,16,0.1,\n"
        )
    _, rows = data_of(write_report(folder).path)
    assert rows["good"]["features"] == "vit-1: done"
    assert rows["lost"]["features"] == ""


def test_a_folder_without_status_is_refused(tmp_path):
    with pytest.raises(StoreError, match="holds no status"):
        write_report(tmp_path)
    (tmp_path / "status.csv").write_text("slide_id,state\na,done\n")
    with pytest.raises(StoreError, match="damaged"):
        write_report(tmp_path)


def test_parts_of_a_job_array_are_one_cohort(tmp_path):
    header = "slide_id,state,tiles,seconds,reason\n"
    (tmp_path / "status-0-of-2.csv").write_text(header + "a,done,5,1.0,\n")
    (tmp_path / "status-1-of-2.csv").write_text(header + "b,failed,0,1.0,broken\n")
    # later, the whole cohort on one machine
    (tmp_path / "status.csv").write_text(header + "a,skipped,5,0.0,\nb,done,7,2.0,\n")
    states = {slide.slide_id: slide for slide in read_status(tmp_path)}
    assert states["a"].state == "done"
    assert states["a"].seconds == 1.0
    assert (states["b"].state, states["b"].tiles) == ("done", 7)


def test_geojson_has_tissue_and_tiles_where_they_are(folder):
    count = write_geojson(folder / "good.h5", folder / "good.geojson")
    features = json.loads((folder / "good.geojson").read_text())["features"]
    assert len(features) == count == 17
    tissue = [f for f in features if f["properties"]["classification"]["name"] == "Tissue"]
    (ring,) = tissue[0]["geometry"]["coordinates"]
    assert ring[0] == ring[-1]
    outline = np.array(ring)
    # the square of tissue, to half a px of the mask (16 level-0 px)
    np.testing.assert_allclose(outline.min(axis=0), [1024, 512], atol=9)
    np.testing.assert_allclose(outline.max(axis=0), [2048, 1536], atol=9)
    tiles = [f for f in features if f["properties"]["objectType"] == "tile"]
    assert tiles[0]["geometry"]["coordinates"][0][:3] == [[1024, 512], [1280, 512], [1280, 768]]
    measured = tiles[0]["properties"]["measurements"]
    assert measured["occupancy"] == 1.0
    assert sorted(measured) == ["blur", "occupancy", "pen"]


def test_geojson_of_holes_specks_and_bounds(tmp_path):
    mask = np.zeros((100, 100), dtype=np.uint8)
    cv2.circle(mask, (50, 50), 30, 1, -1)
    cv2.circle(mask, (50, 50), 10, 0, -1)
    mask[2, 2] = 1
    table = TileTable.from_grid("s", np.array([[1.0, 1.0]]))
    table.attrs.update(slide_size=(1000, 1000), bounds=(100, 50, 800, 800))
    table.columns["blur"] = np.array([np.nan], dtype=np.float32)
    table.save(tmp_path / "s.h5", mask.astype(bool))
    assert write_geojson(tmp_path / "s.h5", tmp_path / "s.geojson") == 3
    features = json.loads((tmp_path / "s.geojson").read_text())["features"]
    rings = {len(f["geometry"]["coordinates"]): f["geometry"]["coordinates"] for f in features[:2]}
    outer, hole = (cv2.contourArea(np.array(r, dtype=np.float32)) for r in rings[2])
    assert outer == pytest.approx(np.pi * 300**2, rel=0.05)
    assert hole == pytest.approx(np.pi * 100**2, rel=0.2)
    # one px of the mask: its box, in what viewers show
    assert np.array(rings[1][0]).min(axis=0).tolist() == [20 - 100, 20 - 50]
    assert cv2.contourArea(np.array(rings[1][0], dtype=np.float32)) == 100
    tile = features[2]
    assert tile["geometry"]["coordinates"][0][0] == [156.0, 206.0]
    assert tile["properties"]["measurements"] == {"occupancy": 1.0}
