"""Where encoded tiles lie: a folder of images, a zip file, or tar shards."""

from __future__ import annotations

import functools
import os
import tarfile
import threading
import zipfile
import zlib
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gigakit.core.errors import ConfigError, DamagedRegionError, StoreError

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
_TAR, _ZIP = ".tar", ".zip"
# shards that one process keeps open
_MOST_OPEN = 64


class TileFiles(ABC):
    """Encoded tiles by name, in the order of their names.

    Handles are opened when they are needed, by each process for itself; threads may share them.

    Attributes:
        root: as it was given.
        names: of all tiles, each the path inside of the root.
    """

    root: Path
    names: list[str]

    def holds(self, name: str) -> bool:
        """Return whether a tile has that very name."""
        place = bisect_left(self.names, name)
        return self.names[place : place + 1] == [name]

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return a tile's bytes.

        Raises:
            DamagedRegionError: they cannot be read, or are not there.
        """


def open_tile_files(root: Path) -> TileFiles:
    """Find the tiles of a folder of images, a ``.zip``, a ``.tar``, or a folder or pattern of them.

    A folder that holds ``.tar`` files is one of shards; names then begin with the shard's. Hidden
    files and what is no image by its suffix do not count.

    Raises:
        ConfigError: nothing there, or no tiles.
        StoreError: a damaged archive.
    """
    if any(letter in root.name for letter in "*?["):
        found: TileFiles = _TarTiles(root, sorted(root.parent.glob(root.name)))
    elif root.is_dir():
        shards = sorted(root.glob(f"*{_TAR}"))
        found = _TarTiles(root, shards) if shards else FolderTiles(root)
    elif not root.is_file():
        raise ConfigError("no such file or folder of tiles", where=root, fix="check the path")
    elif root.suffix.lower() == _ZIP:
        found = _ZipTiles(root)
    elif root.suffix.lower() == _TAR:
        found = _TarTiles(root, [root])
    else:
        raise ConfigError(
            "holds no tiles", where=root, fix="name a folder of images, a .zip, or .tar shards"
        )
    if not found.names:
        raise ConfigError(
            f"holds no tiles ({', '.join(f'*{suffix}' for suffix in SUFFIXES)})",
            where=root,
            fix="name a folder of images, a .zip, or .tar shards",
        )
    return found


class FolderTiles(TileFiles):
    """Images below a folder, which is searched once its names are asked for.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @functools.cached_property
    def names(self) -> list[str]:  # type: ignore[override]
        """Of all tiles; see :class:`TileFiles`."""
        return sorted(filter(_is_tile, _files_below(self.root)))

    def holds(self, name: str) -> bool:
        """Return whether a tile has that very name; see :class:`TileFiles`."""
        if "names" in vars(self) and super().holds(name):
            return True
        # whole paths need no search, and may lead out of the folder
        return name.lower().endswith(SUFFIXES) and (self.root / name).is_file()

    def read(self, name: str) -> bytes:
        """Return a tile's bytes; see :class:`TileFiles`."""
        try:
            return (self.root / name).read_bytes()
        except OSError as error:
            raise DamagedRegionError(f"cannot be read: {error.strerror}") from error


class _ZipTiles(TileFiles):
    def __init__(self, root: Path) -> None:
        self.root = root
        self._opened: tuple[int, zipfile.ZipFile] | None = None
        try:
            with zipfile.ZipFile(root) as archive:
                self.names = sorted(filter(_is_tile, archive.namelist()))
        except (zipfile.BadZipFile, OSError) as error:
            raise StoreError(
                f"is no zip file, or is damaged: {error}", where=root, fix="copy it again"
            ) from error

    def read(self, name: str) -> bytes:
        try:
            # a forked process must not share its parent's place in the file
            if self._opened is None or self._opened[0] != os.getpid():
                self._opened = os.getpid(), zipfile.ZipFile(self.root)
            return self._opened[1].read(name)
        except KeyError as error:
            raise DamagedRegionError("is not there") from error
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
            raise DamagedRegionError(f"cannot be read: {error}") from error

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}


class _TarTiles(TileFiles):
    """Tar files read by place, as ``gigakit`` and WebDataset write them, uncompressed."""

    def __init__(self, root: Path, shards: Sequence[Path]) -> None:
        self.root = root
        self._shards = list(shards)
        self._handles: tuple[int, dict[int, int]] = (0, {})
        self._lock = threading.Lock()
        self._places: dict[str, tuple[int, int, int]] = {}
        for number, shard in enumerate(self._shards):
            prefix = f"{shard.name}/" if shard != root else ""
            for name, start, size in _members(shard):
                self._places[prefix + name] = (number, start, size)
        self.names = sorted(self._places)

    def read(self, name: str) -> bytes:
        if name not in self._places:
            raise DamagedRegionError("is not there")
        number, start, size = self._places[name]
        try:
            # one thread must not close what another reads
            with self._lock:
                data = os.pread(self._handle(number), size, start)
        except OSError as error:
            raise DamagedRegionError(f"cannot be read: {error.strerror}") from error
        if len(data) < size:
            raise DamagedRegionError("is damaged: its shard ends early")
        return data

    def _handle(self, number: int) -> int:
        if self._handles[0] != os.getpid():
            self._handles = os.getpid(), {}
        handles = self._handles[1]
        if number not in handles:
            # of many shards those opened first are closed first
            while len(handles) >= _MOST_OPEN:
                os.close(handles.pop(next(iter(handles))))
            handles[number] = os.open(self._shards[number], os.O_RDONLY)
        return handles[number]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_handles": (0, {}), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def __del__(self) -> None:
        if self._handles[0] == os.getpid():
            for handle in self._handles[1].values():
                os.close(handle)


def _members(shard: Path) -> Iterator[tuple[str, int, int]]:
    """Yield name, place and size of a tar file's tiles."""
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                if member.isreg() and _is_tile(name):
                    yield name, member.offset_data, member.size
    except (tarfile.TarError, OSError, EOFError) as error:
        raise StoreError(
            f"is no plain tar file, or is damaged: {error}", where=shard, fix="copy it again"
        ) from error


def _files_below(root: Path) -> Iterator[str]:
    # folders of classes are often links
    for folder, inside, files in os.walk(root, followlinks=True):
        # what is hidden does not count, and may link to everything
        inside[:] = [name for name in inside if not name.startswith(".")]
        inner = Path(folder).relative_to(root).as_posix()
        prefix = "" if inner == "." else f"{inner}/"
        yield from (prefix + file for file in files)


def _is_tile(name: str) -> bool:
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
    return name.lower().endswith(SUFFIXES) and not hidden
