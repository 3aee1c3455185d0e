"""Checkpoints that appear whole or not at all, and that load without executing code.

A checkpoint is one file in torch's zip format; that of a sharded model is a folder of such a file
and the processes' shards. Checksums are part of both and are verified after writing and before
loading.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.distributed.tensor import DTensor

from gigakit.core.errors import CheckpointError
from gigakit.core.files import write_text
from gigakit.engine import processes
from gigakit.engine.archive import find_archive_damage, read_archive, to_plain, write_archive
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
        write_archive({**plain, "shards": digests}, temporary / STATE)
        _sync_folder(temporary)
        _remove(path)
        temporary.rename(path)
    else:
        write_archive(plain, path)
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
        return place_tensors(read_archive(path), layout or {})
    state = read_archive(path / STATE)
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


def find_damage(path: Path) -> str | None:
    """Tell what is wrong with a checkpoint, or ``None`` if every tensor's checksum is right."""
    if path.is_dir():
        damage = find_damage(path / STATE)
        if damage:
            return f"{STATE} {damage}"
        return find_shard_damage(path, read_archive(path / STATE).get("shards", {}))
    return find_archive_damage(path)


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
