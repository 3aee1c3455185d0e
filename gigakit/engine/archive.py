"""Files in torch's zip format, verified after writing and before reading, that execute no code.

The checksum of every record is part of the format. The directory of a zip archive has none, and one
wrong bit in it can make torch read a tensor as zeros: its digest is the archive's comment.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gigakit.core.errors import CheckpointError
from gigakit.core.files import atomic_path

_SEAL = b"sha256 of the directory: "
_SEAL_BYTES = len(_SEAL) + 64
# what zipfile and torch raise on archives that are not what they seem
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
)


def write_archive(state: Mapping[str, Any], path: Path) -> None:
    """Write plain values; the file appears whole and verified, or not at all.

    Raises:
        CheckpointError: the disk is full, or what was written does not read back.
    """
    with atomic_path(path) as temporary:
        try:
            torch.save(state, temporary)
        except (OSError, RuntimeError) as error:
            # torch tells a full disk as a failed check of its archive's position
            free_mb = shutil.disk_usage(path.parent).free // 2**20
            raise CheckpointError(
                f"could not be written with {free_mb} MiB free ({_first_line(error)})",
                where=path,
                fix="free space, then --resume: the checkpoint before it is kept",
            ) from error
        damage = find_archive_damage(temporary)
        if damage:
            raise CheckpointError(f"did not read back after writing: {damage}", where=path)
        _seal(temporary)


def read_archive(path: Path) -> dict[str, Any]:
    """Read what :func:`write_archive` wrote, into host memory.

    Raises:
        CheckpointError: it is no such file, or would need code to load.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"would need code to load, which is refused ({_unsafe_name(error)})",
            where=path,
            fix="convert it to safetensors where it was made",
        ) from error
    except _UNREADABLE as error:
        raise CheckpointError(
            f"is no file of torch's ({_first_line(error)})", where=path
        ) from error
    if not isinstance(state, dict):
        raise CheckpointError(f"holds a {type(state).__name__}, not a dict", where=path)
    return state


def find_archive_damage(path: Path) -> str | None:
    """Tell what is wrong with a file, or ``None`` if every checksum is right."""
    if not path.is_file():
        return "no such file"
    try:
        if _seal_is_broken(path):
            return "is damaged: the checksum of its directory is wrong"
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except _UNREADABLE as error:
        return f"is damaged or truncated ({_first_line(error)})"
    return f"is damaged: the checksum of {broken} is wrong" if broken else None


def to_plain(value: Any, name: str = "checkpoint") -> Any:
    """Return a value built of tensors, numbers, strings, dicts, lists and tuples alone.

    Raises:
        CheckpointError: something else is in it, such as an object of a class.
    """
    if isinstance(value, nn.Parameter):
        return value.detach()
    # a NumPy float is a float to isinstance, but is pickled as a NumPy object
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, Tensor | bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, Mapping):
        return {key: to_plain(entry, f"{name}.{key}") for key, entry in value.items()}
    if isinstance(value, list | tuple):
        entries = [to_plain(entry, f"{name}.{i}") for i, entry in enumerate(value)]
        return entries if isinstance(value, list) else tuple(entries)
    raise CheckpointError(
        f"a {type(value).__name__} would need code to load",
        where=name,
        fix="keep plain values there",
    )


def _seal(path: Path) -> None:
    """Write the digest of the archive's directory as the archive's comment, its last bytes."""
    digest = _directory_digest(path, path.stat().st_size)
    with path.open("r+b") as stream:
        # the last two bytes of an archive without comment are the comment's length
        stream.seek(-2, os.SEEK_END)
        stream.write(struct.pack("<H", _SEAL_BYTES) + _SEAL + digest)


def _seal_is_broken(path: Path) -> bool:
    """Tell whether a directory is not what its seal says; a foreign file has none."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size - _SEAL_BYTES))
        comment = stream.read()
    if not comment.startswith(_SEAL):
        return False
    return comment[len(_SEAL) :] != _directory_digest(path, size - _SEAL_BYTES)


def _directory_digest(path: Path, end: int) -> bytes:
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
    with path.open("rb") as stream:
        stream.seek(start)
        # without the comment's length, which the seal changes
        return hashlib.sha256(stream.read(end - 2 - start)).hexdigest().encode()


def _unsafe_name(error: Exception) -> str:
    # torch's message goes on to suggest loading it unsafely
    found = re.search(r"GLOBAL ([\w.]+)", str(error))
    return found.group(1) if found else "not a file of plain tensors"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
