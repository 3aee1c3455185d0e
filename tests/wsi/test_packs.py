"""Packs of feature files and of tiles."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from gigakit.core.errors import StoreError
from gigakit.data.feature_folder import FeatureFolder
from gigakit.registry import DATASETS
from gigakit.wsi.cohort import Cohort, SlideRow
from gigakit.wsi.features import feature_path, write_features
from gigakit.wsi.packs import pack_files, packed_files
from gigakit.wsi.slide import open_slide
from gigakit.wsi.tile_shards import write_tile_shards
from gigakit.wsi.tiles import TileTable
from gigakit.wsi.tiling import TilingSettings, tile_cohort

SETTINGS = TilingSettings(segmenter={"type": "OtsuSegmenter"}, tiler={"type": "GridTiler"})


def test_a_pack_stands_for_the_folder(feature_folder, tmp_path):
    plain = FeatureFolder(feature_folder)
    # every file is larger, so each has a shard of its own
    shards = pack_files(list(plain.files.values()), tmp_path / "pack", shard_bytes=1000)
    assert [path.name for path in shards] == ["00000.tar", "00001.tar", "00002.tar"]
    packed = FeatureFolder(tmp_path / "pack")
    assert list(packed.files) == list(plain.files)
    for name, file in plain.files.items():
        expected, found = plain.read(file), packed.read(packed.files[name])
        np.testing.assert_array_equal(found.features, expected.features)
        np.testing.assert_array_equal(found.grid, expected.grid)
        assert packed.shape(packed.files[name]) == plain.shape(file)
    with tarfile.open(shards[1]) as tar:
        (member,) = tar.getmembers()
        assert tar.extractfile(member).read() == list(plain.files.values())[1].read_bytes()
    views = [
        DATASETS.build({"type": "SlideFeatures", "root": str(root)})[1]
        for root in (feature_folder, tmp_path / "pack")
    ]
    assert views[0].keys() == views[1].keys()
    assert (views[0]["features"] == views[1]["features"]).all()


def test_large_shards_hold_many_and_a_pack_is_not_overwritten(feature_folder, tmp_path):
    files = list(FeatureFolder(feature_folder).files.values())
    assert len(pack_files(files, tmp_path, shard_bytes=10**9)) == 1
    assert len(packed_files(tmp_path)) == 3
    with pytest.raises(StoreError, match="holds a pack already"):
        pack_files(files, tmp_path, shard_bytes=10**9)


def test_damaged_packs_are_told(feature_folder, tmp_path):
    files = list(FeatureFolder(feature_folder).files.values())
    pack_files(files, tmp_path, shard_bytes=10**9)
    folder = FeatureFolder(tmp_path)
    with pytest.raises(StoreError, match="no such file in the pack"):
        folder.read(tmp_path / "00000.tar" / "other.h5")
    shard = tmp_path / "00000.tar"
    shard.write_bytes(b"\0" * shard.stat().st_size)
    with pytest.raises(StoreError, match="is damaged"):
        folder.read(folder.files[files[0].stem])


def test_subfolders_are_found_like_flat_files(tmp_path):
    table = TileTable.from_grid("s", np.array([[0.0, 0.0], [1.0, 0.0]]))
    path = feature_path(tmp_path, "s", subfolders=True)
    assert path.parent.parent == tmp_path
    assert len(path.parent.name) == 2
    write_features(path, np.ones((2, 4), dtype=np.float32), table)
    folder = FeatureFolder(tmp_path)
    assert folder.read(folder.files["s"]).features.shape == (2, 4)
    write_features(feature_path(tmp_path, "s"), np.ones((2, 4), dtype=np.float32), table)
    with pytest.raises(StoreError, match="two files of one slide"):
        FeatureFolder(tmp_path)


@pytest.fixture
def tiled(make_pyramid, tissue_image, tmp_path):
    path, _ = make_pyramid(mpp=0.5, downsamples=(1, 4), image=tissue_image)
    rows = tuple(SlideRow(name, path) for name in ("one", "a.dotted.name"))
    return tile_cohort(Cohort("c", rows), SETTINGS, tmp_path / "stores").folder


def members(paths):
    found = {}
    for path in paths:
        with tarfile.open(path) as tar:
            for member in tar:
                assert member.name not in found
                found[member.name] = tar.extractfile(member).read()
    return found


def test_shards_hold_every_tile_once_with_its_facts(tiled, tmp_path):
    tables = sorted(tiled.glob("*.h5"))
    made = write_tile_shards(tables, tmp_path / "out", tiles_per_shard=10, quality=95)
    assert made.tiles == 32
    assert len(made.paths) == 4
    found = members(made.paths)
    assert len(found) == 64
    seen = set()
    for name, data in found.items():
        # WebDataset takes what follows the first dot for the kind
        key, _, kind = name.partition(".")
        if kind != "json":
            continue
        facts = json.loads(data)
        seen.add((facts["slide_id"], *facts["coords"]))
        table = TileTable.load(tiled / f"{facts['slide_id']}.h5")
        number = table.coords.tolist().index(facts["coords"])
        with open_slide(Path(table.attrs["source"])) as slide:
            pixels = table.read(slide, number)
        image = cv2.imdecode(np.frombuffer(found[f"{key}.jpg"], np.uint8), cv2.IMREAD_COLOR)
        assert image.shape == (256, 256, 3)
        assert np.abs(image[:, :, ::-1].astype(float) - pixels).mean() < 12
    assert len(seen) == 32


def test_shards_mix_slides_and_are_not_written_twice(tiled, tmp_path):
    tables = sorted(tiled.glob("*.h5"))
    first = write_tile_shards(tables, tmp_path / "out", tiles_per_shard=16)
    for path in first.paths:
        slides = {name.partition("_")[0] for name in members([path])}
        assert slides == {"000000", "000001"}
    before = [path.read_bytes() for path in first.paths]
    first.paths[1].unlink()
    again = write_tile_shards(tables, tmp_path / "out", tiles_per_shard=16)
    assert 0 < again.tiles < 32
    # times apart, the same content
    assert members(again.paths) == members_of_bytes(before)
    with pytest.raises(StoreError, match="other tiles or settings"):
        write_tile_shards(tables, tmp_path / "out", tiles_per_shard=16, seed=1)


def members_of_bytes(shards):
    found = {}
    for data in shards:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            found |= {member.name: tar.extractfile(member).read() for member in tar}
    return found


def test_a_slide_that_is_gone_is_left_out_and_told(tiled, tmp_path):
    table = TileTable.load(tiled / "one.h5")
    table.attrs["source"] = str(tmp_path / "gone.tif")
    table.save(tiled / "one.h5")
    done = subprocess.run(
        [sys.executable, "-m", "gigakit", "pack", tiled, "--tiles", "--out", tmp_path / "out"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 3
    assert "gone.tif: no such file" in done.stderr
    assert "16 tiles written" in done.stdout


def test_folders_of_something_else_are_refused(tmp_path, feature_folder):
    done = subprocess.run(
        [sys.executable, "-m", "gigakit", "pack", feature_folder, "--tiles", "--out", tmp_path],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "is no folder of tiles" in done.stderr
