"""Do the libraries load, is there room to write, and is the sample at hand?"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from gigakit.cli.doctor_findings import FAIL, PASS, WARN, Check, Finding

_GIB = 2**30
_LEAST_FREE_GIB, _WANTED_FREE_GIB = 5, 20
# a process of a loader hands its batches over through shared memory
_WANTED_SHARED_GIB = 1
_SHARED_MEMORY = Path("/dev/shm")
_OPENSLIDE_FIX = "pip install --force-reinstall openslide-python openslide-bin"


def _opencv() -> list[Finding]:
    from gigakit.cli.libgl import explain_import_error

    try:
        import cv2
    except ImportError as error:
        fix = explain_import_error(error) or "pip install --force-reinstall opencv-python"
        return [Finding("OpenCV", FAIL, str(error), fix)]
    return [Finding("OpenCV", PASS, f"{cv2.__version__} imports, with libGL or without need of it")]


def _openslide() -> list[Finding]:
    try:
        import openslide
    except (ImportError, OSError) as error:
        return [Finding("OpenSlide", FAIL, str(error), _OPENSLIDE_FIX)]
    return [Finding("OpenSlide", PASS, f"library {openslide.__library_version__}")]


def _jpeg() -> list[Finding]:
    import numpy as np

    try:
        import simplejpeg
    except (ImportError, OSError) as error:
        fix = "pip install --force-reinstall simplejpeg"
        return [Finding("JPEG codec", FAIL, str(error), fix)]
    grey = np.full((16, 16, 3), 128, dtype=np.uint8)
    found = simplejpeg.decode_jpeg(simplejpeg.encode_jpeg(grey, quality=95))
    if np.abs(found.astype(int) - 128).max() > 1:
        fix = "pip install --force-reinstall simplejpeg"
        return [Finding("JPEG codec", FAIL, "a grey picture comes back changed", fix)]
    return [Finding("JPEG codec", PASS, "simplejpeg writes and reads a picture")]


def _folders() -> list[Finding]:
    from gigakit.core.source_cache import user_cache_folder

    return [
        _folder("disk here", Path.cwd(), "free some, or work elsewhere"),
        _folder("temporary folder", Path(tempfile.gettempdir()), "set TMPDIR to another folder"),
        _folder("cache", user_cache_folder(), "set GIGAKIT_CACHE to another folder"),
    ]


def _folder(check: str, folder: Path, fix: str) -> Finding:
    """Tell whether files can be written into a folder, and how many."""
    there = folder
    while not there.exists():
        there = there.parent
    try:
        with tempfile.NamedTemporaryFile(dir=there):
            free = shutil.disk_usage(there).free / _GIB
    except OSError as error:
        return Finding(check, FAIL, f"{folder} cannot be written: {error.strerror}", fix)
    found = f"{free:.1f} GiB free in {folder}"
    if free < _LEAST_FREE_GIB:
        # a cache holds 2 MB, and temporary files are small
        return Finding(check, FAIL if check == "disk here" else WARN, found, fix)
    enough = free >= _WANTED_FREE_GIB or check != "disk here"
    return Finding(check, PASS if enough else WARN, found, "" if enough else fix)


def _shared_memory() -> list[Finding]:
    if not _SHARED_MEMORY.is_dir():
        return []
    size = shutil.disk_usage(_SHARED_MEMORY).total / _GIB
    found = f"{size:.2f} GiB in {_SHARED_MEMORY}, for batches of loader processes"
    if size < _WANTED_SHARED_GIB:
        fix = "docker run --shm-size=8g, or --set train_dataloader.num_workers=0"
        return [Finding("shared memory", WARN, found, fix)]
    return [Finding("shared memory", PASS, found)]


def _memory() -> list[Finding]:
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = f"{cpus} processors"
    if "SC_PHYS_PAGES" in os.sysconf_names:
        found += f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / _GIB:.0f} GiB"
    return [Finding("machine", PASS, found)]


def _git() -> list[Finding]:
    if shutil.which("git") is None:
        found = "not found: environment.json of a run will not tell the state of the sources"
        return [Finding("git", WARN, found, "install git")]
    return [Finding("git", PASS, "runs note commit and changes of the sources")]


def _sample() -> list[Finding]:
    from gigakit.wsi.sample import cached_sample, why_not_fetched

    path = cached_sample()
    if path is not None:
        return [Finding("sample slide", PASS, str(path))]
    reason = why_not_fetched()
    if reason is None:
        return [Finding("sample slide", PASS, "not here yet: the first use fetches it (2 MB)")]
    fix = "bring CMU-1-Small-Region.svs here and run: gigakit sample --from FILE"
    return [Finding("sample slide", WARN, f"not here, and cannot be fetched: {reason}", fix)]


MACHINE_CHECKS: tuple[Check, ...] = (
    _opencv,
    _openslide,
    _jpeg,
    _memory,
    _folders,
    _shared_memory,
    _git,
    _sample,
)
