"""Where labelled tiles lie: pictures in a folder, or in a zip."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath
from typing import Protocol

from gigakit.core.errors import ConfigError, UnreadableSlideError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


class TileFiles(Protocol):
    """Pictures by name."""

    where: Path

    def names(self) -> list[str]:
        """Return the names of all pictures, sorted, folders parted by ``/``."""
        ...

    def find(self, name: str) -> str | None:
        """Return the picture that a table means, whose ending it may leave out."""
        ...

    def read(self, name: str) -> bytes:
        """Return a picture's bytes.

        Raises:
            UnreadableSlideError: they cannot be read.
        """
        ...


def open_files(where: Path) -> TileFiles:
    """Return the pictures of a folder or a zip.

    Raises:
        ConfigError: there is neither.
    """
    if where.is_dir():
        return FolderFiles(where)
    if not where.is_file():
        raise ConfigError("no such folder or file", where=where)
    return ZipFiles(where)


class FolderFiles:
    """Pictures below a folder.

    Args:
        where: the folder.
    """

    def __init__(self, where: Path) -> None:
        self.where = where

    def names(self) -> list[str]:
        """Return the names of all pictures; see :class:`TileFiles`."""
        found = (path.relative_to(self.where).as_posix() for path in self.where.rglob("*"))
        return sorted(name for name in found if _is_picture(name))

    def find(self, name: str) -> str | None:
        """Return the picture that a table means; see :class:`TileFiles`."""
        named = (name, *(name + suffix for suffix in SUFFIXES))
        return next((one for one in named if (self.where / one).is_file()), None)

    def read(self, name: str) -> bytes:
        """Return a picture's bytes; see :class:`TileFiles`."""
        try:
            return (self.where / name).read_bytes()
        except OSError as error:
            raise UnreadableSlideError(
                f"cannot be read: {error.strerror}", where=self.where / name
            ) from error


class ZipFiles:
    """Pictures in a zip, read where they are; a folder that holds everything is left out.

    Args:
        where: the file.

    Raises:
        ConfigError: it is no zip.
    """

    def __init__(self, where: Path) -> None:
        self.where = where
        try:
            self._zip = zipfile.ZipFile(where)
        except zipfile.BadZipFile as error:
            raise ConfigError(
                f"is no zip: {error}", where=where, fix="name a folder, a .csv or a .zip"
            ) from error
        members = [name for name in self._zip.namelist() if _is_picture(name)]
        self._members = {name.removeprefix(_top(members)): name for name in sorted(members)}
        self._named: dict[str, str] = {}
        for short, member in self._members.items():
            for name in (short, member):
                for key in (name, str(PurePosixPath(name).with_suffix(""))):
                    self._named.setdefault(key, short)

    def names(self) -> list[str]:
        """Return the names of all pictures; see :class:`TileFiles`."""
        return sorted(self._members)

    def find(self, name: str) -> str | None:
        """Return the picture that a table means; see :class:`TileFiles`."""
        return self._named.get(name)

    def read(self, name: str) -> bytes:
        """Return a picture's bytes; see :class:`TileFiles`."""
        try:
            return self._zip.read(self._members[name])
        except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError) as error:
            raise UnreadableSlideError(
                f"cannot be read: {error}", where=f"{self.where}/{name}"
            ) from error


def _is_picture(name: str) -> bool:
    path = PurePosixPath(name)
    # macOS puts files of its own beside others
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden


def _top(names: list[str]) -> str:
    """Return the folder that holds all, with its slash, where there are folders in it."""
    tops = {name.split("/")[0] for name in names}
    deep = all(len(PurePosixPath(name).parts) > 2 for name in names)  # noqa: PLR2004
    return f"{tops.pop()}/" if len(tops) == 1 and deep else ""
