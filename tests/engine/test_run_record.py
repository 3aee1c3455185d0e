"""What a run's folder tells of where the run came from, and that its config makes it again."""

from __future__ import annotations

import json
import shutil

import pytest

from gigakit.config import load_checked
from gigakit.engine.launch import launch
from gigakit.engine.run_record import data_digest, record_start
from gigakit.tasks.prepared import read_prepared
from gigakit.tasks.slide_tiling import PreparedTiles
from gigakit.wsi.packs import pack_files


def record(folder):
    return json.loads((folder / "environment.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def trained(feature_folder, tmp_path_factory):
    """Return the folder of a short run, and what it was launched with."""
    settings = [f"features={feature_folder}", "train_cfg.max_steps=2", "model.encoder.width=32"]
    loaded = load_checked("tiny/slide", settings)
    folder = tmp_path_factory.mktemp("runs") / "run"
    launch(loaded, work_dir=folder, announce=str)
    return folder, loaded


def test_the_config_of_a_run_is_that_run(trained):
    folder, loaded = trained
    again = load_checked(folder)
    assert again.values == loaded.values
    assert again.name == "tiny/slide"


def test_the_config_of_a_run_makes_the_same_numbers(trained, tmp_path):
    folder, _ = trained
    launch(load_checked(folder / "config.py"), work_dir=tmp_path / "again", announce=str)
    results = [
        json.loads((run / "result.json").read_text()) for run in (folder, tmp_path / "again")
    ]
    assert results[0]["last_loss"] == results[1]["last_loss"]
    assert results[0]["metrics"] == results[1]["metrics"]
    data = [record(run)["starts"][0]["data"]["sha256"] for run in (folder, tmp_path / "again")]
    assert data[0] == data[1]


def test_it_tells_overrides_versions_git_and_data(trained, feature_folder, repository):
    folder, loaded = trained
    found = record(folder)
    assert found["recipe"] == "tiny/slide"
    assert found["overrides"] == list(loaded.overrides)
    assert found["sections"] == []
    (start,) = found["starts"]
    assert start["resumed"] is False
    assert {"gigakit", "python", "torch", "mmengine", "numpy", "h5py"} <= start["versions"].keys()
    assert start["machine"]["processes"] == 1
    assert start["data"]["slides"] == 3
    assert start["data"]["folder"] == str(feature_folder)
    if (repository / ".git").exists():
        assert len(start["git"]["commit"]) == 40
        # one checkout holds sources and recipe
        assert start["recipe_git"] is None


def test_a_resumed_run_adds_a_start_and_a_new_one_begins_anew(tmp_path):
    record_start(tmp_path, {"recipe": "a", "data": {"sha256": "1"}}, resumed=False)
    record_start(tmp_path, {"recipe": "a", "data": {"sha256": "2"}}, resumed=True)
    starts = record(tmp_path)["starts"]
    assert [start["resumed"] for start in starts] == [False, True]
    assert [start["data"]["sha256"] for start in starts] == ["1", "2"]
    record_start(tmp_path, {}, resumed=False)
    assert len(record(tmp_path)["starts"]) == 1
    assert record(tmp_path)["recipe"] is None


def test_the_digest_is_of_the_files_not_of_their_place(feature_folder, tmp_path):
    copied = tmp_path / "copied"
    shutil.copytree(feature_folder, copied)
    first = data_digest(read_prepared(feature_folder))
    assert data_digest(read_prepared(copied)) == {**first, "folder": str(copied)}
    assert first["slides"] == first["files"] == 3
    file = min(copied.glob("*.h5"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert data_digest(read_prepared(copied))["sha256"] != first["sha256"]
    fewer = read_prepared(feature_folder, [file.stem])
    assert data_digest(fewer)["files"] == 1


def test_packs_and_stored_tiles_have_a_digest_too(feature_folder, tmp_path):
    pack_files(sorted(feature_folder.glob("*.h5")), tmp_path / "pack", shard_bytes=1)
    assert data_digest(read_prepared(tmp_path / "pack"))["files"] == 3
    tiles = tmp_path / "tiles"
    (tiles / "class").mkdir(parents=True)
    (tiles / "class" / "a.png").write_bytes(b"picture")
    stored = data_digest(PreparedTiles(tiles, [], []))
    assert (stored["kind"], stored["files"], stored["bytes"]) == ("tiles", 1, 7)
    alone = data_digest(PreparedTiles(tiles / "class" / "a.png", [], []))
    assert alone["files"] == 1
    placed = data_digest(PreparedTiles(tiles, [], [], None)) | {"folder": ""}
    assert placed["sha256"] == stored["sha256"]
