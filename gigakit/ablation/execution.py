"""Run a plan: one subprocess a run, finished ones skipped, a crash kept to its own cell."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gigakit.ablation.plan import Plan, Run
from gigakit.core.errors import InterruptedRunError, WorkDirError
from gigakit.core.files import write_json
from gigakit.engine.signals import REQUESTS, exit_code

LOGGER = logging.getLogger(__name__)


def run_plan(plan: Plan, *, announce: Callable[[str], None] = LOGGER.info) -> list[Path]:
    """Make the runs of a plan that are not finished yet.

    Args:
        plan: what to run.
        announce: receives one line before each run.

    Returns:
        The folders of runs that failed.

    Raises:
        InterruptedRunError: a signal stopped a run; its checkpoint is kept and the same command
            goes on from it.
        WorkDirError: a run's folder holds a run of other settings.
    """
    plan.write()
    failed = []
    for number, run in enumerate(plan.runs, start=1):
        folder = plan.out / run.folder
        place = f"[{number}/{len(plan.runs)}] {run.cell}, seed {run.seed}"
        if is_finished(folder, run):
            announce(f"{place}: finished before, skipped")
            continue
        announce(place)
        code = _run(plan, run, folder)
        if code in map(exit_code, REQUESTS):
            raise InterruptedRunError(
                "the ablation was interrupted",
                where=folder,
                fix="the same command goes on from here",
                exit_code=code,
            )
        if code != 0:
            failed.append(folder)
            announce(f"{place}: failed with exit code {code}, see {folder / 'train.log'}")
    return failed


def read_result(folder: Path) -> dict[str, Any] | None:
    """Return a run's ``result.json``, or ``None`` where there is none."""
    path = folder / "result.json"
    if not path.is_file():
        return None
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def is_finished(folder: Path, run: Run) -> bool:
    """Tell whether a folder holds this very run, done."""
    result = read_result(folder)
    return bool(result and result["status"] == "done" and _digest(folder) == run.digest)


def _run(plan: Plan, run: Run, folder: Path) -> int:
    found = _digest(folder)
    if found is not None and found != run.digest:
        raise WorkDirError(
            "holds a run of other settings", where=folder, fix="name another --out, or remove it"
        )
    command = [sys.executable, "-m", "gigakit", "train", plan.recipe, "--work-dir", str(folder)]
    for override in run.overrides:
        command += ["--set", override]
    if found is not None:
        command.append("--resume" if (folder / "last_checkpoint").is_file() else "--overwrite")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "run.json", {"digest": run.digest, "labels": run.labels, "seed": run.seed})
    return _run_child(command)


def _run_child(command: list[str]) -> int:
    """Run a command, hand each stop signal on to it once, and return its exit code."""
    # apart from the terminal, whose Ctrl-C would reach it beside ours: a second one stops at once
    child = subprocess.Popen(command, start_new_session=True)
    before = {
        number: signal.signal(number, lambda received, _: child.send_signal(received))
        for number in REQUESTS
    }
    try:
        return child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _digest(folder: Path) -> str | None:
    path = folder / "run.json"
    if not path.is_file():
        return None
    digest: str = json.loads(path.read_text(encoding="utf-8"))["digest"]
    return digest
