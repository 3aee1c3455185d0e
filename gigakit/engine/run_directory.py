"""The folder of one training run."""

from __future__ import annotations

import shutil
from pathlib import Path

from gigakit.core.errors import WorkDirError

# what tells that a folder holds a run of ours; a folder without it is never removed
MARKS = ("config.py", "environment.json", "last_checkpoint", "result.json", "train.log")
# what an ablation writes there before the run starts, and while it runs
_NOTES = ("run.json", "output.log")


def prepare_work_dir(
    root: Path,
    name: str,
    *,
    explicit: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> Path:
    """Return the folder that a run may write to, made if needed.

    Without ``explicit`` it is ``root/name/<n>`` with the next free n; two runs that start at once
    get different folders. ``resume`` then means the newest one.

    Args:
        root: such as ``work_dirs``.
        name: name of the recipe.
        explicit: the folder the user named.
        resume: go on with the run that the folder holds.
        overwrite: remove the run that the folder holds.

    Raises:
        WorkDirError: ``explicit`` holds a run and neither ``resume`` nor ``overwrite`` is given;
            both are given; there is no run to resume; or ``overwrite`` names what is not a run.
    """
    if resume and overwrite:
        raise WorkDirError("--resume and --overwrite exclude each other", fix="give one of them")
    if explicit is not None:
        return _explicit(explicit, resume=resume, overwrite=overwrite)
    if overwrite:
        raise WorkDirError("--overwrite needs a folder", fix="name it with --work-dir")
    if resume:
        return _newest(root / name)
    return _next_free(root / name)


def _explicit(folder: Path, *, resume: bool, overwrite: bool) -> Path:
    if folder.exists() and not folder.is_dir():
        raise WorkDirError("is a file", where=folder, fix="name a folder with --work-dir")
    held = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    is_run = any(mark in held for mark in MARKS)
    if is_run and not (resume or overwrite):
        raise WorkDirError(
            "holds a run already",
            where=folder,
            fix="add --resume to go on with it, --overwrite to remove it, or name another folder",
        )
    if held and not is_run and overwrite:
        raise WorkDirError(
            "holds files that are not a run's",
            where=folder,
            fix="remove them yourself if you mean it",
        )
    if is_run and overwrite:
        _empty(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name in _NOTES:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _numbered(parent: Path) -> list[int]:
    if not parent.is_dir():
        return []
    return sorted(int(path.name) for path in parent.iterdir() if path.name.isdecimal())


def _newest(parent: Path) -> Path:
    numbers = _numbered(parent)
    if not numbers:
        raise WorkDirError("holds no run to resume", where=parent, fix="start without --resume")
    return parent / str(numbers[-1])


def _next_free(parent: Path) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    number = max(_numbered(parent), default=0)
    while True:
        number += 1
        folder = parent / str(number)
        try:
            folder.mkdir()
        except FileExistsError:
            continue  # another run took it in this moment
        return folder
