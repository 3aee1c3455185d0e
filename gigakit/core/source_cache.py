"""Readings of source files, kept on disk by the file's time and size: each is parsed once."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gigakit.core import source as source_module
from gigakit.core.source import Argument, Definition, Signature, Source, read_source

LOGGER = logging.getLogger(__name__)
Entry = tuple[int, int, Source]


def user_cache_folder() -> Path:
    """Return the folder of files that can be made again: ``GIGAKIT_CACHE``, or the user's cache."""
    if own := os.environ.get("GIGAKIT_CACHE"):
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "gigakit"


class SourceCache:
    """Readings by file; one cache file holds those of one folder.

    A cache that cannot be read or written costs time only: files are then parsed again.
    """

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, Entry]] = {}
        self._changed: set[Path] = set()

    def read(self, path: Path, module: str) -> Source:
        """Return the reading of a file as it is now.

        Raises:
            SyntaxError: the file is no Python.
            OSError: it cannot be read.
        """
        entries = self._entries(path.parent)
        stamp = path.stat()
        entry = entries.get(path.name)
        if entry is None or entry[:2] != (stamp.st_mtime_ns, stamp.st_size):
            entry = (stamp.st_mtime_ns, stamp.st_size, read_source(path, module))
            entries[path.name] = entry
            self._changed.add(path.parent)
        return entry[2]

    def write(self) -> None:
        """Write the readings made since the last call."""
        for folder in self._changed:
            data = {
                name: [time, size, asdict(source)]
                for name, (time, size, source) in self._folders[folder].items()
            }
            try:
                _replace(_cache_file(folder), json.dumps(data))
            except OSError as error:
                LOGGER.debug("the catalogue's cache is not written: %s", error)
        self._changed.clear()

    def _entries(self, folder: Path) -> dict[str, Entry]:
        if folder not in self._folders:
            self._folders[folder] = _load(_cache_file(folder))
        return self._folders[folder]


def _load(file: Path) -> dict[str, Entry]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        return {name: (time, size, _source(text)) for name, (time, size, text) in data.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        LOGGER.debug("the catalogue's cache is not used: %s", error)
        return {}


def _source(data: dict[str, Any]) -> Source:
    return Source(
        definitions={name: _definition(entry) for name, entry in data["definitions"].items()},
        imports=data["imports"],
        aliases=data["aliases"],
        registrations=tuple((r, n, t) for r, n, t in data["registrations"]),
    )


def _definition(data: dict[str, Any]) -> Definition:
    signature = data["signature"]
    if signature is not None:
        arguments = tuple(Argument(**argument) for argument in signature["arguments"])
        supplied = tuple(signature["supplied"])
        signature = Signature(**{**signature, "arguments": arguments, "supplied": supplied})
    return Definition(
        name=data["name"],
        line=data["line"],
        docstring=data["docstring"],
        bases=tuple(data["bases"]),
        registered=tuple((registry, name) for registry, name in data["registered"]),
        signature=signature,
    )


def _cache_file(folder: Path) -> Path:
    # a change of the reader makes every reading old
    reader = hashlib.sha256(Path(source_module.__file__).read_bytes())
    reader.update(f"{sys.version_info[:2]}{folder.resolve()}".encode())
    return user_cache_folder() / "catalogue" / f"{reader.hexdigest()[:16]}.json"


def _replace(file: Path, text: str) -> None:
    # no fsync: a lost cache costs nothing, and there are many small files
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, suffix=".part")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
    Path(name).replace(file)
