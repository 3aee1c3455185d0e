"""``--json``: one document on standard output, whatever is said beside it."""

from __future__ import annotations

import json
import shutil

import pytest

from gigakit.wsi.sample import SHA256


@pytest.fixture
def slides(tmp_path, shared, monkeypatch):
    """Return a folder with a slide and a file that is none; stores go beside it."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "slides"
    folder.mkdir()
    slide = shared / "data" / "slides" / "cmu-1-small-region.svs"
    shutil.copyfile(slide, folder / "good.svs")
    (folder / "bad.svs").write_bytes(b"no slide")
    return folder


def test_tile_tells_counts_and_what_is_left_out(call, slides):
    quick = ("--set", "preparation.quality=[]", "--workers", "0")
    code, out, err = call("tile", str(slides), "--json", *quick)
    assert code == 3
    found = json.loads(out)["tiling"]
    assert found["slides"] == {"done": 1, "skipped": 0, "empty": 0, "failed": 1}
    assert found["tiles"] == 49
    (left,) = found["left_out"]
    assert (left["slide_id"], left["state"]) == ("bad", "failed")
    assert "1 of 2 slides failed" in err


def test_sample_tells_path_and_digest(call, shared, tmp_path, monkeypatch):
    monkeypatch.setenv("GIGAKIT_CACHE", str(tmp_path))
    slide = shared / "data" / "slides" / "cmu-1-small-region.svs"
    found = json.loads(call("sample", "--from", str(slide), "--json")[1])
    assert found == {"path": str(tmp_path / "CMU-1-Small-Region.svs"), "sha256": SHA256}


def test_pack_tells_its_tar_files(call, feature_folder, tmp_path):
    code, out, _ = call("pack", str(feature_folder), "--out", str(tmp_path / "pack"), "--json")
    found = json.loads(out)
    assert code == 0
    assert found == {
        "out": str(tmp_path / "pack"),
        "slides": 3,
        "tar_files": [str(tmp_path / "pack" / "00000.tar")],
    }
