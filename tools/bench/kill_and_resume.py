"""Kill training runs at random moments, resume them, and compare them with a run left alone.

    python tools/bench/kill_and_resume.py [recipe] [--trials 30] [--seed 0] [--set key=value ...]

A trial starts a run in a process of its own and sends it SIGKILL at a moment drawn uniformly over
the run, while it writes a checkpoint or while it validates, or SIGTERM or SIGINT; some trials kill
the resumed run once more. The number of loader workers is drawn anew at each start. What the last
process leaves (newest checkpoint, scalars.jsonl, TensorBoard events) must equal, bit for bit, what
the uninterrupted run leaves; numbers of speed excepted. The exit code is 1 if one differs.
"""

from __future__ import annotations

import argparse
import collections
import copy
import logging
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# the same processes and comparison as in the tests of exact resume
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from resuming.comparison import differences, left_by
from resuming.processes import Order, Run, start
from resuming.recipes import resolved, write_slides

from gigakit.config.overrides import parse_override
from gigakit.engine.checkpoint import (
    FOLDER,
    POINTER,
    checkpoint_step,
    find_resume,
    list_checkpoints,
)

WORKERS = (0, 2)
KEEP = 2
CHANGES: dict[str, Any] = {
    "train_cfg.max_steps": 40,
    "train_cfg.epochs": 100,
    "train_cfg.val_interval_steps": 9,
    "optim_wrapper.accumulative_counts": 2,
    "default_hooks.checkpoint.interval_steps": 3,
    "default_hooks.checkpoint.keep": KEEP,
    "default_hooks.scalars.interval_steps": 5,
}
# of the slide recipes: everything random on
SLIDES = {
    "model.encoder.dropout": 0.2,
    "model.encoder.drop_path": 0.2,
    "train_dataloader.dataset.views_per_slide": 7,
}
# how often each is drawn
PLANS = {
    "SIGKILL, any moment": 4,
    "SIGKILL, checkpoint write": 3,
    "SIGKILL, validation": 2,
    "SIGTERM": 1,
    "SIGINT": 1,
}
PLACES = {"": "before the first step", "start": "before the first step", "step": "in a step"}
PLACES |= {"validation": "in a validation", "end": "after the end"}
WRITING = "in a checkpoint write"


@dataclass
class Trial:
    """What was done to one run, and what came of it."""

    plans: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    resumed_from: list[int] = field(default_factory=list)
    workers: list[int] = field(default_factory=list)
    found: list[str] = field(default_factory=list)

    def cells(self, number: int) -> list[str]:
        """Return the trial's row of the table."""
        return [
            str(number),
            "; ".join(self.plans),
            "; ".join(self.places),
            ", ".join(map(str, self.resumed_from)),
            " → ".join(map(str, self.workers)),
            "no" if self.found else "yes",
        ]


class Trials:
    """Runs of one config, beside the uninterrupted one.

    Args:
        values: the resolved config.
        folder: where the runs go.
        draw: what moments, signals and worker counts are drawn from.
    """

    def __init__(self, values: dict[str, Any], folder: Path, draw: random.Random) -> None:
        self.values, self.folder, self.draw = values, folder, draw
        for name in ("warm-up", "whole"):
            run = start(self._order(folder / name, 0, 0))
            run.finish()
            self.seconds = time.monotonic() - run.started
        self.whole = left_by(folder / "whole")

    def make(self, number: int) -> Trial:
        """Make one trial; a run that ends the same is removed."""
        work_dir, trial = self.folder / f"trial-{number}", Trial()
        for attempt in range(2 if self.draw.random() < 0.3 else 1):  # noqa: PLR2004
            run = self._start(work_dir, attempt, trial)
            self._kill(run, trial)
        codes = self._start(work_dir, len(trial.plans), trial).wait()
        trial.found = [f"exit code {code}" for code in codes if code]
        trial.found += list(differences(self.whole, left_by(work_dir)))
        if not trial.found:
            for path in self.folder.glob(f"trial-{number}*"):
                shutil.rmtree(path)
        return trial

    def _order(self, work_dir: Path, attempt: int, workers: int) -> Order:
        values = copy.deepcopy(self.values)
        values["train_dataloader"]["num_workers"] = workers
        notes = work_dir.with_name(f"{work_dir.name}-notes-{attempt}")
        return Order(values, work_dir, notes, resume=attempt > 0, counts_calls=False)

    def _start(self, work_dir: Path, attempt: int, trial: Trial) -> Run:
        trial.workers.append(self.draw.choice(WORKERS))
        if attempt:
            found = find_resume(work_dir)
            trial.resumed_from.append(checkpoint_step(found) if found else 0)
        return start(self._order(work_dir, attempt, trial.workers[-1]))

    def _kill(self, run: Run, trial: Trial) -> None:
        plan = self.draw.choices(list(PLANS), list(PLANS.values()))[0]
        trial.plans.append(plan)
        name = plan.split(",")[0]
        delay = self.draw.uniform(0, 0.01)
        if plan.endswith("write"):
            writes = self.values["train_cfg"]["max_steps"] // 3
            _wait_for(run, _partial, self.draw.randrange(writes), delay)
        elif plan.endswith("validation"):
            _wait_for(run, _validations, self.draw.randrange(4), delay)
        else:
            left = self.draw.uniform(0, self.seconds) - (time.monotonic() - run.started)
            time.sleep(max(0.0, left))
        place = _place(run.order) if run.alive() else PLACES["end"]
        run.signal(signal.Signals[name])
        codes = run.wait(limit_s=30)
        # a process that was killed says where; one that was asked to stop has moved on
        killed = name == "SIGKILL" and codes == [-signal.SIGKILL]
        trial.places.append(_place(run.order) if killed else place)


def _wait_for(run: Run, what: Callable[[Order], set[str]], passed: int, delay_s: float) -> None:
    """Wait until something is under way, after it has been so often, and a little longer."""
    seen: set[str] = set()
    while run.alive() and len(seen) <= passed:
        seen |= what(run.order)
        time.sleep(0.0002)
    time.sleep(delay_s)


def _partial(order: Order) -> set[str]:
    return {path.name for path in (order.work_dir / FOLDER).glob(".step-*.part")}


def _validations(order: Order) -> set[str]:
    word, steps = _word(order), order.notes / "steps-0.jsonl"
    # the number of steps made keeps two validations apart
    return {str(steps.stat().st_size)} if word == "validation" and steps.is_file() else set()


def _word(order: Order) -> str:
    place = order.notes / "place"
    return place.read_text().strip() if place.is_file() else ""


def _place(order: Order) -> str:
    held = list_checkpoints(order.work_dir)
    pointer = order.work_dir / POINTER
    named = pointer.read_text().strip() if pointer.is_file() else ""
    if _partial(order) or len(held) > KEEP or (held and not named.endswith(held[0].name)):
        return WRITING
    return PLACES[_word(order)]


def main() -> int:
    """Make the trials and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", nargs="?", default="tiny/slide")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    # it reports what a resumed run hides of the part before
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    folder = Path(tempfile.mkdtemp(prefix="kill-and-resume-"))
    changes = {"features": str(write_slides(folder / "features")), **CHANGES}
    changes |= SLIDES if given.recipe.endswith("slide") else {}
    changes |= {override.key: override.value for override in map(parse_override, given.set)}
    trials = Trials(resolved(given.recipe, changes), folder, random.Random(given.seed))
    print(
        f"{given.recipe}, seed {given.seed}; the uninterrupted run takes {trials.seconds:.1f} s\n"
    )
    header = ["trial", "signal", "where it fell", "resumed from", "workers", "identical"]
    print(f"| {' | '.join(header)} |")
    print("|" + " --- |" * len(header))
    made = []
    for number in range(1, given.trials + 1):
        made.append(trials.make(number))
        print(f"| {' | '.join(made[-1].cells(number))} |", flush=True)
        for line in made[-1].found[:5]:
            print(f"  {line} (see {folder / f'trial-{number}'})")
    _print_summary(made)
    if any(trial.found for trial in made):
        return 1
    shutil.rmtree(folder)
    return 0


def _print_summary(made: list[Trial]) -> None:
    kills = collections.Counter(place for trial in made for place in trial.places)
    differing = collections.Counter(place for t in made if t.found for place in set(t.places))
    print("\n| where it fell | kills and signals | trials that differ |\n| --- | --- | --- |")
    for place in dict.fromkeys([*PLACES.values(), WRITING]):
        print(f"| {place} | {kills[place]} | {differing[place]} |")
    equal = sum(not trial.found for trial in made)
    print(f"\n{equal} of {len(made)} trials ended bit-identical to the uninterrupted run")


if __name__ == "__main__":
    sys.exit(main())
