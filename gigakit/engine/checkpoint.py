"""Checkpoints that appear whole or not at all, and that load without executing code.

A checkpoint is one file in torch's zip format; that of a sharded model is a folder of such a file
and the processes' shards. The checksum of every tensor is part of both and is verified after
writing and before loading. The directory of a zip archive has none of its own, and one wrong bit in
it can make torch read a tensor as zeros: its digest is the archive's comment.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from gigakit.core.errors import CheckpointError
from gigakit.core.files import atomic_path, write_text
from gigakit.engine import processes
from gigakit.engine.sharding import (
    empty_tensor,
    is_sharded,
    join_tensors,
    place_tensors,
    split_tensors,
)
from gigakit.engine.shards import (
    find_shard_damage,
    list_tensors,
    read_shards,
    write_shards,
)
from gigakit.nn.weights import read_weights

LOGGER = logging.getLogger(__name__)

FOLDER = "checkpoints"
POINTER = "last_checkpoint"
# in the folder of a sharded checkpoint: everything but its large tensors
STATE = "state.pth"
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
_NAME = re.compile(r"step-(\d+)(\.pth)?")


def checkpoint_path(work_dir: Path, step: int, *, sharded: bool = False) -> Path:
    """Return where the checkpoint after ``step`` optimiser steps goes."""
    return work_dir / FOLDER / (f"step-{step:08d}" if sharded else f"step-{step:08d}.pth")


def list_checkpoints(work_dir: Path) -> list[Path]:
    """Return a run's checkpoints, newest first."""
    found = [path for path in (work_dir / FOLDER).glob("step-*") if _NAME.fullmatch(path.name)]
    return sorted(found, key=checkpoint_step, reverse=True)


def checkpoint_step(path: Path) -> int:
    """Return the number of optimiser steps that a checkpoint's name tells."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise CheckpointError("is not named like a checkpoint of a run", where=path)
    return int(match.group(1))


def save_checkpoint(state: Mapping[str, Any], work_dir: Path, step: int, *, keep: int = 2) -> Path:
    """Write a checkpoint: whole and verified first, then the pointer, and old ones go last.

    Tensors are written where they lie, so the host needs no second copy of them. All ranks call it:
    of a sharded model each writes its part, of another one rank 0 writes all.

    Args:
        state: tensors, numbers, strings, dicts and lists of them; nothing that needs code. Large
            tensors are in ``state_dict`` and ``optimizer``.
        work_dir: folder of the run.
        step: optimiser steps done.
        keep: how many of the newest checkpoints stay.

    Returns:
        What was written.

    Raises:
        CheckpointError: a value is not plain, the disk is full, or what was written does not read
            back. The checkpoints before are kept.
    """
    plain = to_plain(state)
    sharded = is_sharded(plain)
    path = checkpoint_path(work_dir, step, sharded=sharded)
    temporary = path.with_name(f".{path.name}.part")
    if sharded:
        plain, tensors = split_tensors(plain)
        digests = write_shards(tensors, temporary)
    if processes.rank() != 0:
        return path
    if sharded:
        _write_state({**plain, "shards": digests}, temporary / STATE)
        _sync_folder(temporary)
        _remove(path)
        temporary.rename(path)
    else:
        _write_state(plain, path)
    _sync_folder(path.parent)
    write_text(work_dir / POINTER, f"{path.relative_to(work_dir).as_posix()}\n")
    # one of a later step belongs to a future that this run was resumed from before, or is damaged:
    # counted among the newest, it would push out what is sound
    held = list_checkpoints(work_dir)
    for other in (*held[: held.index(path)], *held[held.index(path) + keep :]):
        _remove(other)
    return path


def load_checkpoint(path: Path, layout: Mapping[str, DTensor] | None = None) -> dict[str, Any]:
    """Read a checkpoint into host memory, without executing code from it.

    Args:
        path: a file, or the folder of a sharded checkpoint.
        layout: what this process holds of each tensor of a sharded model, which is all it then
            reads, see :func:`~gigakit.engine.sharding.sharded_layout`; by default all of it.

    Raises:
        CheckpointError: it is missing, damaged, or would need code to load.
    """
    damage = find_damage(path)
    if damage:
        raise CheckpointError(damage, where=path)
    if not path.is_dir():
        return place_tensors(_read_state(path), layout or {})
    state = _read_state(path / STATE)
    # of the files themselves, no part of the run's state
    del state["shards"]
    tensors = {
        name: empty_tensor(name, shape, dtype, layout or {})
        for name, (shape, dtype) in list_tensors(path).items()
    }
    read_shards(tensors, path)
    return join_tensors(state, tensors)


def read_run_weights(path: Path) -> dict[str, Tensor]:
    """Return the whole weights that a checkpoint of either kind, or a weight file, holds.

    Raises:
        CheckpointError: it is missing, damaged, or holds no weights.
    """
    if not path.is_dir():
        return read_weights(path)
    weights: dict[str, Tensor] = load_checkpoint(path)["state_dict"]
    return weights


def _write_state(state: Mapping[str, Any], path: Path) -> None:
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
        damage = find_damage(temporary)
        if damage:
            raise CheckpointError(f"did not read back after writing: {damage}", where=path)
        _seal(temporary)


def _read_state(path: Path) -> dict[str, Any]:
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


def find_damage(path: Path) -> str | None:
    """Tell what is wrong with a checkpoint, or ``None`` if every tensor's checksum is right."""
    if path.is_dir():
        damage = find_damage(path / STATE)
        if damage:
            return f"{STATE} {damage}"
        return find_shard_damage(path, _read_state(path / STATE).get("shards", {}))
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


def find_resume(work_dir: Path) -> Path | None:
    """Return the newest valid checkpoint of a run, or ``None``; damaged ones are reported."""
    for path in list_checkpoints(work_dir):
        damage = find_damage(path)
        if damage is None:
            return path
        LOGGER.warning("%s %s; the one before it is used", path, damage)
    return None


def remove_partial(work_dir: Path) -> None:
    """Remove what a killed process left of a checkpoint it was writing."""
    for path in (work_dir / FOLDER).glob(".step-*.part"):
        _remove(path)


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


@dataclass(frozen=True)
class InitReport:
    """What a weight file gave a model: names of the model's and the file's tensors.

    Attributes:
        matched: loaded, same name and shape.
        missing: in the model, not in the file.
        unexpected: in the file, not in the model.
        mismatched: in both, of different shapes.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]

    @property
    def fraction(self) -> float:
        """Fraction of the model's tensors that were loaded."""
        return len(self.matched) / max(
            1, len(self.matched) + len(self.missing) + len(self.mismatched)
        )

    def __str__(self) -> str:
        return (
            f"{len(self.matched)} tensors matched, {len(self.missing)} missing, "
            f"{len(self.unexpected)} unexpected, {len(self.mismatched)} of another shape"
        )


def init_from(model: nn.Module, path: Path, *, min_fraction: float = 0.9) -> InitReport:
    """Load the weights of a file into a model, and nothing else of the run it comes from.

    Args:
        model: what receives the weights.
        path: a safetensors file, a checkpoint of a run, or a torch file of weights.
        min_fraction: smallest fraction of the model's tensors that must match.

    Raises:
        CheckpointError: fewer match (the model is left untouched), or the file cannot be read.
    """
    # a wrapper for several processes puts its own name before every tensor's
    given = {name.removeprefix("module."): value for name, value in read_run_weights(path).items()}
    own = model.state_dict()
    shared = [name for name in own if name in given]
    report = InitReport(
        matched=tuple(name for name in shared if own[name].shape == given[name].shape),
        missing=tuple(name for name in own if name not in given),
        unexpected=tuple(name for name in given if name not in own),
        mismatched=tuple(name for name in shared if own[name].shape != given[name].shape),
    )
    if report.fraction < min_fraction:
        examples = ", ".join((*report.mismatched, *report.missing)[:3])
        raise CheckpointError(
            f"fits too little of the model: {report} (such as {examples})",
            where=path,
            fix=f"at least {min_fraction:.0%} of the model's tensors must match",
        )
    model.load_state_dict({name: given[name] for name in report.matched}, strict=False)
    return report


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


def _remove(path: Path) -> None:
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    # a kill in the middle must not leave what looks like a checkpoint
    doomed = path if path.name.startswith(".") else path.with_name(f".{path.name}.old.part")
    path.rename(doomed)
    shutil.rmtree(doomed)


def _sync_folder(folder: Path) -> None:
    # the rename itself must survive a power cut
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
