"""Tensors of a sharded run on disk: each process writes and reads its own part.

The format is torch's distributed checkpoint, of tensors alone. Its index is a pickle, which is read
here without executing anything but the handful of plain classes that belong in it.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, ClassVar

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import (
    _MEM_FORMAT_ENCODING,
    Metadata,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from gigakit.core.errors import CheckpointError
from gigakit.core.files import file_sha256
from gigakit.engine import compat, processes

INDEX = ".metadata"
# of a file that is damaged, or that torch refuses
_FAULTS = (OSError, EOFError, ValueError, RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile)


def write_shards(tensors: Mapping[str, Tensor], folder: Path) -> dict[str, str]:
    """Write this process's parts of tensors into a folder, and read them back; all ranks call it.

    Returns:
        The SHA-256 of each file, by name.

    Raises:
        CheckpointError: on all ranks, where one of them could not write or read back.
    """
    digests: dict[str, str] = {}
    with compat.quiet_distributed_checkpoint():
        try:
            save(dict(tensors), storage_writer=FileSystemWriter(folder, sync_files=True))
            damage = _find_damage(folder, prefix=f"__{processes.rank()}_")
            digests = {
                path.name: file_sha256(path) for path in folder.glob(f"__{processes.rank()}_*")
            }
            if processes.is_first():
                digests[INDEX] = file_sha256(folder / INDEX)
        except (*_FAULTS, CheckpointException) as error:
            damage = f"could not be written ({_last_line(error)})"
    told = processes.collect((damage, digests))
    found = [complaint for complaint, _ in told if complaint]
    if found:
        raise CheckpointError(found[0], where=folder)
    # from here on another rank may move the folder to its place
    return {name: digest for _, files in told for name, digest in files.items()}


def read_shards(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Fill tensors, sharded over any number of processes or whole, from a folder of shards.

    Raises:
        CheckpointError: a tensor is missing, of another shape, or the files are damaged.
    """
    with compat.quiet_distributed_checkpoint():
        try:
            load(dict(tensors), storage_reader=_SafeReader(folder))
        except (*_FAULTS, CheckpointException) as error:
            raise CheckpointError(f"cannot be read ({_last_line(error)})", where=folder) from error


def list_tensors(folder: Path) -> dict[str, tuple[torch.Size, torch.dtype]]:
    """Return shape and type of each tensor that a folder of shards holds, by name."""
    entries = _SafeReader(folder).read_metadata().state_dict_metadata
    return {
        name: (entry.size, entry.properties.dtype)
        for name, entry in entries.items()
        if isinstance(entry, TensorStorageMetadata)
    }


def find_shard_damage(folder: Path, digests: Mapping[str, str]) -> str | None:
    """Tell what is wrong with a folder of shards, or ``None`` if every file's checksum is right.

    Args:
        folder: the folder.
        digests: what :func:`write_shards` returned.
    """
    for name, digest in digests.items():
        if not (folder / name).is_file():
            return f"is damaged: {name} is missing"
        if file_sha256(folder / name) != digest:
            return f"is damaged: the checksum of {name} is wrong"
    return None if INDEX in digests else "is damaged: it does not tell its shards"


def _find_damage(folder: Path, prefix: str = "") -> str | None:
    """Verify the checksum inside each stored tensor of the files that begin with ``prefix``."""
    for entry in _SafeReader(folder).read_metadata().storage_data.values():
        if not entry.relative_path.startswith(prefix):
            continue
        with (folder / entry.relative_path).open("rb") as stream:
            stream.seek(entry.offset)
            if zipfile.ZipFile(_Part(stream, entry.length)).testzip():
                return f"is damaged: a checksum in {entry.relative_path} is wrong"
    return None


class _Part:
    """A part of an open file as a file of its own, which ``zipfile`` reads without a copy."""

    def __init__(self, stream: IO[bytes], length: int) -> None:
        self._stream, self._start, self._length = stream, stream.tell(), length

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._stream.tell() - self._start

    def seek(self, offset: int, whence: int = 0) -> int:
        origin = (0, self.tell(), self._length)[whence]
        if origin + offset < 0:
            raise OSError("a position before the beginning")
        return self._stream.seek(self._start + origin + offset) - self._start

    def read(self, size: int = -1) -> bytes:
        left = max(self._length - self.tell(), 0)
        return self._stream.read(left if size < 0 else min(size, left))


class _SafeReader(FileSystemReader):
    """torch's reader, whose index may name harmless classes only."""

    def read_metadata(self, *_args: Any, **_kwargs: Any) -> Metadata:
        path = Path(self.path) / INDEX
        with path.open("rb") as stream:
            metadata: Metadata = _PlainUnpickler(stream, path).load()
        if metadata.storage_meta is not None:
            metadata.storage_meta.load_id = self.load_id
        return metadata


class _PlainUnpickler(pickle.Unpickler):
    """Unpickle an index of shards and nothing else."""

    _HARMLESS: ClassVar[dict[str, set[str]]] = {
        "torch.distributed.checkpoint.metadata": {
            "ChunkStorageMetadata",
            "Metadata",
            "MetadataIndex",
            "StorageMeta",
            "TensorProperties",
            "TensorStorageMetadata",
            "_MEM_FORMAT_ENCODING",
        },
        "torch.distributed.checkpoint.filesystem": {"_StorageInfo"},
        "torch.serialization": {"_get_layout"},
        "torch": {"Size"},
        "pathlib": {"PosixPath", "WindowsPath"},
    }

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        super().__init__(stream)
        self._path = path

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("builtins", "getattr"):
            # some Pythons, 3.11.2 among them, pickle a member of an enumeration so
            return self._memory_format
        is_dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if is_dtype or name in self._HARMLESS.get(module, ()):
            return super().find_class(module, name)
        raise CheckpointError(
            f"would need code to load, which is refused ({module}.{name})", where=self._path
        )

    def _memory_format(self, owner: Any, name: str) -> _MEM_FORMAT_ENCODING:
        if owner is not _MEM_FORMAT_ENCODING:
            raise CheckpointError(
                f"would need code to load, which is refused (getattr of {owner!r})",
                where=self._path,
            )
        return _MEM_FORMAT_ENCODING[name]


def _last_line(error: BaseException) -> str:
    # torch puts the traceback of every rank before what it comes to
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__
