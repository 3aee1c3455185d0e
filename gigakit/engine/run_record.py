"""What a run came from, beside its config: ``environment.json`` in its folder."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

import gigakit
from gigakit.config import LoadedConfig
from gigakit.config.recipes import RUN_RECORD
from gigakit.core.files import write_json
from gigakit.core.git_state import git_state
from gigakit.data.feature_folder import FeatureFolder
from gigakit.engine import processes
from gigakit.engine.runners.gigakit_runner import versions
from gigakit.tasks.prepared import PreparedFeatures
from gigakit.tasks.slide_tiling import PreparedTiles

# what is read of a file's beginning and end: headers, checksums and some of the numbers
_END_BYTES = 4096
# packages that change a run's numbers, beside torch and mmengine
_PACKAGES = (
    "numpy", "h5py", "opencv-python", "opencv-python-headless", "openslide-python",
    "openslide-bin", "simplejpeg", "tifffile", "safetensors", "scikit-learn", "xformers",
    "flash-attn",
)  # fmt: skip


def origin_of(
    loaded: LoadedConfig, prepared: PreparedFeatures | PreparedTiles, init_from: Path | None
) -> dict[str, Any]:
    """Return what a run is made from: recipe, overrides, sections, checkouts, weights and data."""
    return {
        "recipe": loaded.name,
        "overrides": list(loaded.overrides),
        "sections": list(loaded.sections),
        "init_from": str(init_from) if init_from else None,
        "recipe_git": git_state(loaded.path),
        "data": data_digest(prepared),
    }


def record_start(folder: Path, origin: Mapping[str, Any], *, resumed: bool) -> None:
    """Write ``environment.json``, or add a start to that of a run that goes on.

    The file holds ``recipe``, ``overrides`` and ``sections`` of the last start, and ``starts``: for
    each its time, command, versions, machine, git state and data.

    Args:
        folder: of the run.
        origin: of :func:`origin_of`; without it the config alone tells what is trained.
        resumed: the run goes on with an earlier start.
    """
    path = folder / RUN_RECORD
    whole = ("recipe", "overrides", "sections")
    before: list[Any] = []
    if resumed and path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))["starts"]
    start = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "resumed": resumed,
        "command": sys.argv,
        "folder": str(Path.cwd()),
        "versions": {**versions(), **_package_versions()},
        "machine": _machine(),
        "git": git_state(Path(gigakit.__file__)),
        **{key: value for key, value in origin.items() if key not in whole},
    }
    if start.get("recipe_git") == start["git"]:
        # one checkout holds both
        start["recipe_git"] = None
    head = {key: origin.get(key) for key in whole}
    write_json(path, {**head, "starts": [*before, start]})


def data_digest(prepared: PreparedFeatures | PreparedTiles) -> dict[str, Any]:
    """Return a name for the data of a run: the same files give the same, wherever they lie.

    Of each file count its name, its size, and its first and last 4 KiB, which hold headers and
    checksums; a cohort of any size is named in the time that opening its files takes.
    """
    files = sorted(_files(prepared))
    root = Path(os.path.commonpath([file.parent for file in files])) if files else prepared.folder
    digest, total = hashlib.sha256(), 0
    for file in files:
        size = file.stat().st_size
        total += size
        digest.update(f"{file.relative_to(root).as_posix()} {size}\n".encode())
        for part in _ends(file, size):
            digest.update(part)
    return {
        "kind": "features" if isinstance(prepared, PreparedFeatures) else "tiles",
        "folder": str(prepared.folder.absolute()),
        "slides": len(prepared.slide_ids),
        "tiles": sum(prepared.lengths),
        "files": len(files),
        "bytes": total,
        "sha256": digest.hexdigest(),
    }


def _files(prepared: PreparedFeatures | PreparedTiles) -> Iterable[Path]:
    folder = prepared.folder
    if isinstance(prepared, PreparedFeatures):
        named = FeatureFolder(folder).select(prepared.slide_ids)
        # a path into a pack stands for its tar file
        return {path if path.is_file() else path.parent for path in named}
    if prepared.slide_ids:
        return {folder / f"{slide_id}.h5" for slide_id in prepared.slide_ids}
    return {path for path in folder.rglob("*") if path.is_file()} if folder.is_dir() else {folder}


def _ends(file: Path, size: int) -> tuple[bytes, bytes]:
    with file.open("rb") as stream:
        first = stream.read(_END_BYTES)
        stream.seek(max(size - _END_BYTES, len(first)))
        return first, stream.read()


def _package_versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _machine() -> dict[str, Any]:
    cuda = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    return {
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": processes.world_size(),
        "cuda": torch.version.cuda,
        "devices": [torch.cuda.get_device_name(index) for index in cuda],
    }
