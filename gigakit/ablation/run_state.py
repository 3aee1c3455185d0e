"""What a run's folder tells of it, and what the ablation notes there."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gigakit.ablation.plan import Run
from gigakit.core.errors import WorkDirError
from gigakit.core.files import write_json
from gigakit.engine.run_lock import run_lock

NOTE = "run.json"
RESULT = "result.json"
OUTPUT = "output.log"
_THREADS = "OMP_NUM_THREADS"


def read_result(folder: Path) -> dict[str, Any] | None:
    """Return a run's ``result.json``, or ``None`` where there is none."""
    return _read(folder / RESULT) or None


def is_finished(folder: Path, run: Run) -> bool:
    """Tell whether a folder holds this very run, done."""
    result = read_result(folder)
    return bool(
        result and result["status"] == "done" and read_note(folder).get("digest") == run.digest
    )


def read_note(folder: Path) -> dict[str, Any]:
    """Return what the ablation noted of a run, ``run.json``; empty where there is none."""
    return _read(folder / NOTE)


def note_start(
    folder: Path, run: Run, environment: Mapping[str, str], command: Sequence[str]
) -> dict[str, str]:
    """Write ``run.json`` before a run starts, and return the environment to start it in.

    A run that was begun before keeps its number of threads, on which the last bits of its numbers
    may depend.
    """
    before = read_note(folder)
    threads = before.get("threads", environment.get(_THREADS, os.environ.get(_THREADS)))
    kept = {key: value for key, value in environment.items() if key != _THREADS}
    if threads is not None:
        kept[_THREADS] = threads
    note = {
        "cell": run.cell,
        "digest": run.digest,
        "labels": run.labels,
        "seed": run.seed,
        "overrides": run.overrides,
        "threads": threads,
        "command": ["gigakit", *command[3:]],
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / NOTE, note)
    return kept


def result_stamp(folder: Path) -> float | None:
    """Return what changes when a run writes its result."""
    path = folder / RESULT
    return path.stat().st_mtime_ns if path.is_file() else None


def mark_failed(folder: Path, code: int, before: float | None) -> str:
    """Return why a run failed, and note it where the run had no time to do so.

    Args:
        folder: the run's.
        code: exit code of its process.
        before: :func:`result_stamp` before it started.
    """
    if result_stamp(folder) != before:
        told = (read_result(folder) or {}).get("reason") or f"exit code {code}"
        return f"{' '.join(str(told).split())}; see {folder / 'train.log'}"
    reason = _last_error(folder / OUTPUT) or _meaning(code)
    try:
        # a folder in which another process trains is left alone
        with run_lock(folder):
            write_json(folder / RESULT, {"status": "failed", "reason": reason})
    except WorkDirError as error:
        return error.what
    return reason


def _last_error(output: Path) -> str:
    if not output.is_file():
        return ""
    lines = output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].removeprefix("error: ") if lines else ""


def _meaning(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    killed = signal.Signals(-code).name
    return f"killed by {killed}" + (", perhaps for lack of memory" if killed == "SIGKILL" else "")


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
