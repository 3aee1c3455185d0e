"""Folders, zip files and shards of tiles."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from gigakit.core.errors import ConfigError, DamagedRegionError, StoreError
from gigakit.data.tile_files import FolderTiles, open_tile_files
from gigakit.wsi.image_decoding import decode_image
from gigakit.wsi.slide import open_slide
from gigakit.wsi.tile_shards import write_tile_shards
from gigakit.wsi.tiles import TileTable

NAMES = [f"{'a' if n < 5 else 'b'}/{n}.png" for n in range(10)]


@pytest.fixture
def contents(tile_folder):
    return {name: (tile_folder / name).read_bytes() for name in NAMES}


def write_tar(path, contents):
    with tarfile.open(path, "w") as tar:
        for name, data in {**contents, "a/0.json": b"{}"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def write_zip(path, contents):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**contents, "__MACOSX/a/0.png": b"", "labels.csv": b""}.items():
            archive.writestr(name, data)
    return path


def test_a_folder_a_zip_and_a_tar_hold_the_same(tile_folder, tmp_path, contents):
    zipped = write_zip(tmp_path / "t.zip", contents)
    tarred = write_tar(tmp_path / "t.tar", contents)
    for root in (tile_folder, zipped, tarred):
        files = open_tile_files(root)
        assert files.names == NAMES
        assert {name: files.read(name) for name in reversed(NAMES)} == contents
        # as another process gets it, after handles were opened here
        copy = pickle.loads(pickle.dumps(files))
        assert copy.read(NAMES[3]) == contents[NAMES[3]]


def test_a_name_that_is_not_there_is_told(tile_folder, tmp_path, contents):
    zipped = write_zip(tmp_path / "t.zip", contents)
    tarred = write_tar(tmp_path / "t.tar", contents)
    for files in (FolderTiles(tile_folder), *map(open_tile_files, (tile_folder, zipped, tarred))):
        assert files.holds("a/0.png")
        assert not files.holds("a/9.png")
        assert not files.holds("notes.txt")
        with pytest.raises(DamagedRegionError, match=r"is not there|No such file"):
            files.read("a/9.png")


def test_whole_paths_need_no_search(tile_folder, monkeypatch):
    monkeypatch.setattr("gigakit.data.tile_files._files_below", None)
    files = FolderTiles(tile_folder / "a")
    assert files.holds("../b/6.png")
    assert files.read("../b/6.png") == (tile_folder / "b/6.png").read_bytes()


def test_hidden_folders_do_not_count(tile_folder):
    (tile_folder / ".all").symlink_to(tile_folder)
    assert open_tile_files(tile_folder).names == NAMES


def test_linked_folders_count(tile_folder, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "c").symlink_to(tile_folder / "a")
    assert open_tile_files(tmp_path / "links").names == [f"c/{n}.png" for n in range(5)]


def test_shards_are_named_by_folder_or_pattern(tmp_path, contents, monkeypatch):
    monkeypatch.setattr("gigakit.data.tile_files._MOST_OPEN", 1)
    (tmp_path / "s").mkdir()
    for number in range(3):
        part = dict(list(contents.items())[number::3])
        write_tar(tmp_path / "s" / f"{number}.tar", part)
    files = open_tile_files(tmp_path / "s")
    assert len(files.names) == 10
    assert files.read("1.tar/a/4.png") == contents["a/4.png"]
    assert files.read("2.tar/b/8.png") == contents["b/8.png"]
    assert files.read("1.tar/a/1.png") == contents["a/1.png"]
    some = open_tile_files(tmp_path / "s" / "[01].tar")
    assert sorted({name.partition("/")[0] for name in some.names}) == ["0.tar", "1.tar"]


def _slowly(read):
    def delayed(*arguments):
        time.sleep(0.001)
        return read(*arguments)

    return delayed


def test_threads_may_share_shards(tmp_path, contents, monkeypatch):
    monkeypatch.setattr("gigakit.data.tile_files._MOST_OPEN", 1)
    (tmp_path / "s").mkdir()
    for number in range(5):
        write_tar(tmp_path / "s" / f"{number}.tar", dict(list(contents.items())[number::5]))
    files = open_tile_files(tmp_path / "s")
    monkeypatch.setattr("os.pread", _slowly(os.pread))
    # as another process gets it: with a lock of its own
    files = pickle.loads(pickle.dumps(files))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(files.read, files.names * 4))
    assert found == [contents[name.partition("/")[2]] for name in files.names * 4]


def test_shards_that_gigakit_writes_are_read(tiled_slides, tmp_path):
    tables = sorted(tiled_slides.glob("*.h5"))
    made = write_tile_shards(tables, tmp_path / "shards", tiles_per_shard=8, quality=100)
    files = open_tile_files(tmp_path / "shards")
    assert len(files.names) == made.tiles == 24
    (name,) = [name for name in files.names if name.endswith("000001_000005.jpg")]
    table = TileTable.load(tables[1])
    with open_slide(Path(table.attrs["source"]), mpp=0.5) as slide:
        expected = table.read(slide, 5)
    found = decode_image(files.read(name)).astype(int)
    assert np.abs(found - expected).mean() < 2


def test_what_cannot_be_read_is_told(tmp_path, contents):
    tar = write_tar(tmp_path / "t.tar", contents)
    files = open_tile_files(tar)
    tar.write_bytes(tar.read_bytes()[:2000])
    with pytest.raises(DamagedRegionError, match="its shard ends early"):
        files.read("b/9.png")
    archive = write_zip(tmp_path / "t.zip", contents)
    files = open_tile_files(archive)
    data = bytearray(archive.read_bytes())
    data[60:90] = bytes(30)
    archive.write_bytes(bytes(data))
    with pytest.raises(DamagedRegionError, match="cannot be read"):
        files.read("a/0.png")


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("none", None, ConfigError, "none: no such file or folder of tiles; check the path"),
        ("t.zip", b"PK?", StoreError, "is no zip file, or is damaged"),
        ("t.tar", b"?" * 1024, StoreError, "is no plain tar file, or is damaged"),
        (
            "t.csv",
            b"tile",
            ConfigError,
            "holds no tiles; name a folder of images, a .zip",
        ),
        ("*.tar", None, ConfigError, r"holds no tiles \(\*\.jpg"),
        ("", None, ConfigError, r"holds no tiles \(\*\.jpg, .*name a folder of images"),
    ],
)
def test_roots_without_tiles_are_told(tmp_path, name, content, error, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=message):
        open_tile_files(tmp_path / name)
