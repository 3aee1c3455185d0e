"""Run a plan: one subprocess a run, finished ones skipped, a crash kept to its own cell."""

from __future__ import annotations

import functools
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gigakit.ablation.children import Children, Ended, Task
from gigakit.ablation.plan import Plan, Run
from gigakit.ablation.run_state import (
    OUTPUT,
    is_finished,
    mark_failed,
    note_start,
    read_note,
    read_result,
    result_stamp,
)
from gigakit.core.errors import InterruptedRunError, WorkDirError
from gigakit.engine.pace import clock
from gigakit.engine.run_directory import MARKS
from gigakit.engine.signals import exit_code

LOGGER = logging.getLogger(__name__)

__all__ = ["is_finished", "read_result", "run_plan"]


def run_plan(
    plan: Plan,
    *,
    announce: Callable[[str], None] = LOGGER.info,
    slots: Sequence[dict[str, str]] = ({},),
) -> list[Path]:
    """Make the runs of a plan that are not finished yet.

    A run that was interrupted goes on from its checkpoint, on as many threads as it began with; one
    that failed is tried again. Where several go on at a time, what each prints goes to
    ``output.log`` in its folder.

    Args:
        plan: what to run.
        announce: receives a line as runs start and end.
        slots: the environment of each run that goes on at a time, see
            :func:`gigakit.ablation.slots.make_slots`.

    Returns:
        The folders of runs that failed.

    Raises:
        InterruptedRunError: a signal stopped it; what ran has written its checkpoint, and the same
            command goes on from there.
        WorkDirError: a run's folder holds a run of other settings.
    """
    todo = unfinished(plan, announce)
    plan.write()
    work = _Work(plan, [number for number, _ in todo], announce, slots)
    children = Children(work.say_stop)
    tasks = [functools.partial(work.task, index) for index in range(len(todo))]
    for ended in children.run(tasks, len(slots), work.say_start):
        work.settle(ended, interrupted=children.received is not None)
    left = [run for _, run in todo if not is_finished(plan.out / run.folder, run)]
    if children.received is not None and left:
        raise InterruptedRunError(
            "the ablation was interrupted",
            where=plan.out,
            fix=f"the same command goes on with the {len(left)} runs that are left",
            exit_code=exit_code(children.received),
        )
    return [plan.out / plan.runs[number].folder for number in sorted(work.failed)]


def unfinished(plan: Plan, announce: Callable[[str], None]) -> list[tuple[int, Run]]:
    """Return the runs to make, with their place in the plan, and tell which are not.

    Raises:
        WorkDirError: a run's folder holds a run of other settings.
    """
    todo = []
    for number, run in enumerate(plan.runs):
        folder = plan.out / run.folder
        found = read_note(folder).get("digest")
        if found is not None and found != run.digest:
            raise WorkDirError(
                "holds a run of other settings",
                where=folder,
                fix="name another --out, or remove it",
            )
        if is_finished(folder, run):
            announce(f"{place(plan, number)}: finished before, skipped")
        else:
            todo.append((number, run))
    return todo


def place(plan: Plan, number: int) -> str:
    """Return how a run is announced: its number among all, its cell and its seed."""
    run = plan.runs[number]
    return f"[{number + 1}/{len(plan.runs)}] {run.cell}, seed {run.seed}"


def train_command(plan: Plan, run: Run) -> list[str]:
    """Return the command that makes a run, or goes on with it."""
    folder = plan.out / run.folder
    command = [sys.executable, "-m", "gigakit", "train", plan.recipe, "--work-dir", str(folder)]
    for override in run.overrides:
        command += ["--set", override]
    if (folder / "last_checkpoint").is_file():
        command.append("--resume")
    elif any((folder / mark).exists() for mark in MARKS):
        # it ended before its first checkpoint
        command.append("--overwrite")
    return command


class _Work:
    """The runs of one call: what each is told, and what came of it."""

    def __init__(
        self,
        plan: Plan,
        numbers: Sequence[int],
        announce: Callable[[str], None],
        slots: Sequence[dict[str, str]],
    ) -> None:
        self.plan, self.numbers = plan, numbers
        self.announce, self.slots = announce, slots
        self.failed: list[int] = []
        self._stamps: dict[int, float | None] = {}
        self._seconds: list[float] = []

    def task(self, index: int, slot: int) -> Task:
        """Prepare a run's folder and return its process."""
        number = self.numbers[index]
        run = self.plan.runs[number]
        folder = self.plan.out / run.folder
        command = train_command(self.plan, run)
        self._stamps[number] = result_stamp(folder)
        environment = note_start(folder, run, self.slots[slot], command)
        output = folder / OUTPUT
        # an earlier call's
        output.unlink(missing_ok=True)
        return Task(command, output if len(self.slots) > 1 else None, environment)

    def say_start(self, index: int) -> None:
        """Announce a run."""
        self.announce(place(self.plan, self.numbers[index]))

    def say_stop(self, received: signal.Signals, running: int) -> None:
        """Announce that all is being stopped."""
        what = "its checkpoint is written" if running == 1 else f"{running} checkpoints are written"
        self.announce(f"{received.name}: {what}; a second one stops at once")

    def settle(self, ended: Ended, *, interrupted: bool) -> None:
        """Note what came of a run, and announce it."""
        number = self.numbers[ended.number]
        run = self.plan.runs[number]
        folder = self.plan.out / run.folder
        if is_finished(folder, run):
            self._seconds.append(ended.seconds)
            left = len(self.numbers) - len(self._seconds) - len(self.failed)
            mean = sum(self._seconds) / len(self._seconds)
            rest = f"; {left} left, about {clock(mean * left / len(self.slots))}" if left else ""
            self.announce(f"{place(self.plan, number)}: done in {clock(ended.seconds)}{rest}")
        elif not interrupted:
            reason = mark_failed(folder, ended.code, self._stamps[number])
            self.failed.append(number)
            self.announce(f"{place(self.plan, number)}: failed: {reason}")
