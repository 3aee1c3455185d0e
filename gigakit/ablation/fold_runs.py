"""Run the folds of an evaluation, several at once, each in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gigakit.ablation.execution import read_result
from gigakit.ablation.fold_plan import SETTINGS_FILE, FoldPlan, FoldRun
from gigakit.core.errors import InterruptedRunError, WorkDirError
from gigakit.core.files import write_json
from gigakit.engine.run_directory import MARKS
from gigakit.engine.signals import REQUESTS, exit_code
from gigakit.tasks.evaluation.predictions import FILE

TRAIN = (sys.executable, "-m", "gigakit", "train")
_STOPPED = tuple(exit_code(number) for number in REQUESTS)
_LOOK_SECONDS = 0.1


def run_folds(plan: FoldPlan, *, jobs: int = 1, announce: Callable[[str], None]) -> list[FoldRun]:
    """Make the runs that are not finished yet; a failed one does not cost the others.

    What a run prints goes to its log, under ``logs`` of the evaluation.

    Args:
        plan: the runs.
        jobs: how many at once; threads are shared out between them.
        announce: receives a line when a run begins and ends.

    Returns:
        The runs that failed.

    Raises:
        InterruptedRunError: a signal stopped the runs; the same command goes on from their
            checkpoints.
        WorkDirError: a folder holds a run of other settings.
    """
    for run in plan.runs:
        _refuse_other(run)
    waiting = [run for run in plan.runs if not is_finished(run)]
    finished = len(plan.runs) - len(waiting)
    if finished:
        announce(f"{finished} of {len(plan.runs)} runs: finished before, skipped")
    running: dict[subprocess.Popen[bytes], FoldRun] = {}
    failed = []
    with _signals_to(running) as received:
        while waiting or running:
            while waiting and len(running) < jobs and not received:
                run = waiting.pop(0)
                announce(f"{run.title}: begins")
                running[_start(plan, run, jobs)] = run
            for child in [child for child in running if child.poll() is not None]:
                run = running.pop(child)
                if child.returncode not in (0, *_STOPPED):
                    failed.append(run)
                announce(f"{run.title}: {_outcome(run, child.returncode)}")
            if received and not running:
                raise InterruptedRunError(
                    "the evaluation was interrupted",
                    fix="the same command goes on from here",
                    exit_code=exit_code(received[0]),
                )
            time.sleep(_LOOK_SECONDS)
    return failed


def is_finished(run: FoldRun) -> bool:
    """Tell whether a folder holds this very run, done, with its predictions."""
    result = read_result(run.folder)
    done = bool(result and result["status"] == "done")
    return done and _digest(run.folder) == run.digest and (run.folder / FILE).is_file()


def failure(run: FoldRun) -> str:
    """Return why a run failed, as its last line tells."""
    try:
        lines = run.log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "no log"
    return lines[-1].removeprefix("error: ") if lines else "nothing was printed"


def _outcome(run: FoldRun, code: int) -> str:
    if code == 0:
        return "done"
    if code in _STOPPED:
        return "interrupted"
    return f"failed with exit code {code}: {failure(run)} (see {run.log})"


def _start(plan: FoldPlan, run: FoldRun, jobs: int) -> subprocess.Popen[bytes]:
    command = [*TRAIN, plan.recipe, "--work-dir", str(run.folder)]
    for override in run.overrides:
        command += ["--set", override]
    if plan.init_from is not None:
        command += ["--init-from", str(plan.init_from)]
    if (run.folder / "last_checkpoint").is_file():
        command.append("--resume")
    elif any((run.folder / mark).exists() for mark in MARKS):
        command.append("--overwrite")
    run.folder.mkdir(parents=True, exist_ok=True)
    write_json(
        run.folder / SETTINGS_FILE,
        {"digest": run.digest, "labels": {"fold": run.fold, "candidate": run.candidate},
         "seed": run.seed},
    )  # fmt: skip
    threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs))} if jobs > 1 else {}
    run.log.parent.mkdir(parents=True, exist_ok=True)
    with run.log.open("wb") as stream:
        # apart from the terminal, whose Ctrl-C would reach it beside ours
        return subprocess.Popen(
            command,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**threads, **os.environ},
            start_new_session=True,
        )


@contextmanager
def _signals_to(running: dict[subprocess.Popen[bytes], FoldRun]) -> Iterator[list[int]]:
    """Hand stop signals on to the running children; yield the list of those received."""
    received: list[int] = []

    def hand_on(number: int, _frame: object) -> None:
        received.append(number)
        for child in running:
            child.send_signal(number)

    before = {number: signal.signal(number, hand_on) for number in REQUESTS}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _refuse_other(run: FoldRun) -> None:
    found = _digest(run.folder)
    if found is not None and found != run.digest:
        raise WorkDirError(
            "holds a run of other settings", where=run.folder, fix="name another --out"
        )


def _digest(folder: Path) -> str | None:
    path = folder / SETTINGS_FILE
    if not path.is_file():
        return None
    digest: str = json.loads(path.read_text(encoding="utf-8"))["digest"]
    return digest
