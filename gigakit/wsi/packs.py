"""Feature files packed into few large tar files, for storage that is slow with many small ones."""

from __future__ import annotations

import functools
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py

from gigakit.core.errors import StoreError
from gigakit.core.files import atomic_path, write_json

INDEX = "index.json"
FORMAT = 1
_SUFFIX = ".tar"


def pack_files(files: Sequence[Path], out: Path, *, shard_bytes: int) -> list[Path]:
    """Pack HDF5 files into tar files, which any tool unpacks, and write where each one lies.

    Tar files are named by number and hold whole files in order; each is begun when the one before
    has reached ``shard_bytes``. The index comes last, so a pack without one is not finished.

    Args:
        files: the files.
        out: folder of the pack.
        shard_bytes: size from which the next tar file is begun.

    Returns:
        The tar files.

    Raises:
        StoreError: the folder holds a pack already, or a file cannot be read.
    """
    if (out / INDEX).exists():
        raise StoreError("holds a pack already", where=out, fix="remove it, or name another folder")
    places: dict[str, tuple[str, int, int]] = {}
    shards = []
    for number, group in enumerate(_groups(files, shard_bytes)):
        shard = out / f"{number:05}{_SUFFIX}"
        with atomic_path(shard) as temporary, tarfile.open(temporary, "w") as tar:
            for file in group:
                tar.add(file, arcname=file.name, recursive=False)
        # read back, so that what the index says is what the file holds
        with tarfile.open(shard) as tar:
            for member in tar:
                name = member.name.removesuffix(".h5")
                places[name] = (shard.name, member.offset_data, member.size)
        shards.append(shard)
    write_json(out / INDEX, {"format": FORMAT, "slides": places})
    return shards


def packed_files(folder: Path) -> dict[str, Path]:
    """Return where each slide of a pack lies, as ``<folder>/<shard>.tar/<slide_id>.h5``."""
    return {
        name: folder / shard / f"{name}.h5"
        for name, (shard, _, _) in _index(folder / INDEX).items()
    }


def is_pack(folder: Path) -> bool:
    """Tell whether a folder holds a finished pack."""
    return (folder / INDEX).is_file()


def is_packed(path: Path) -> bool:
    """Tell whether a path, which is no file itself, names one in a tar file."""
    return path.parent.suffix == _SUFFIX and path.parent.is_file()


def open_packed(path: Path) -> h5py.File:
    """Open a file of a pack, named as :func:`packed_files` does; it is read whole, at once.

    Raises:
        StoreError: the pack has no such file, or is damaged.
    """
    shard = path.parent
    place = _index(shard.parent / INDEX).get(path.stem)
    if place is None or place[0] != shard.name:
        raise StoreError("no such file in the pack", where=path)
    with shard.open("rb") as stream:
        stream.seek(place[1])
        data = stream.read(place[2])
    try:
        return h5py.File(io.BytesIO(data), "r")
    except OSError as error:
        raise StoreError("is damaged", where=path, fix="pack it again") from error


@functools.lru_cache(maxsize=4)
def _index(path: Path) -> dict[str, tuple[str, int, int]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise StoreError(f"is no pack of format {FORMAT}", where=path)
        return {name: (shard, at, size) for name, (shard, at, size) in found["slides"].items()}
    except FileNotFoundError as error:
        raise StoreError("no such pack", where=path) from error
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError("is damaged", where=path, fix="pack the files again") from error


def _groups(files: Sequence[Path], shard_bytes: int) -> Iterator[list[Path]]:
    group: list[Path] = []
    held = 0
    for file in files:
        group.append(file)
        held += file.stat().st_size
        if held >= shard_bytes:
            yield group
            group, held = [], 0
    if group:
        yield group
