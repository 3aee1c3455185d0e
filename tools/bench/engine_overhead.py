"""What the engine adds to a training step, against a loop written by hand.

Three processes train the same toy model on the same data with the same optimiser. They take turns
of 45 steps, of which 40 are measured, so that whatever else the machine does falls on all of them:

bare      DataLoader and sampler, forward, backward, gradient norm, finite check, clipping,
          AdamW's step, zero_grad; no schedule, log, seed or screen
gigakit   ``gigakit.engine.train`` with its default hooks
mmengine  ``mmengine.runner.Runner`` with IterBasedTrainLoop and its default hooks, as it comes

Both engines log every 10 steps, to files. Checkpoints are written between the turns, since their
time is the disk's. The late step is reached by making all the steps before it.

Usage:  python tools/bench/engine_overhead.py [--steps 100000] [--turns 20] [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from overhead_loops import LOOPS, Turns

BUDGET_MS = 1.0
EARLY_STEP, MARK_STEP = 100, 1000
UNMEASURED_STEPS, MEASURED_STEPS = 5, 40


class Racer:
    """One loop in a process of its own.

    Args:
        name: of the loop.
        folder: where it may write.
        last_step: where it ends.
    """

    def __init__(self, name: str, folder: Path, last_step: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.screen = folder / "screen.txt"
        self.process = context.Process(target=_work, args=(name, other, folder, last_step))
        self.process.start()
        other.close()
        self.step = 0

    def get_ready(self) -> None:
        """Wait until the loop stands before its first step."""
        self._receive()

    def advance(self, steps: int) -> dict[str, float]:
        """Make steps; return their wall and CPU time in ms a step."""
        self.step += steps
        self.connection.send(self.step)
        return {key: value / steps * 1e3 for key, value in self._receive().items()}

    def state(self) -> dict[str, Any]:
        """Return peak memory so far, the size of a checkpoint, and a digest of the weights."""
        self.connection.send(None)
        return self._receive()

    def finish(self) -> None:
        """Make the last step and end."""
        self.connection.send(-1)
        self.process.join()

    def _receive(self) -> dict[str, Any]:
        try:
            received: dict[str, Any] = self.connection.recv()
        except EOFError:
            sys.exit(f"a loop ended early:\n{self.screen.read_text(encoding='utf-8')[-4000:]}")
        return received


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100_000, help="the late step")
    parser.add_argument("--turns", type=int, default=20, help="of each loop, early and late")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    if arguments.steps <= MARK_STEP:
        parser.error(f"--steps: give more than {MARK_STEP}")
    most = (MARK_STEP - EARLY_STEP) // (UNMEASURED_STEPS + MEASURED_STEPS)
    if not 1 <= arguments.turns <= most:
        parser.error(f"--turns: give 1 to {most}")
    # the loop written by hand knows the CPU alone
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    figures = measure(arguments.steps, arguments.turns)
    print(table(figures))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measure(steps: int, turns: int) -> dict[str, Any]:
    """Measure all loops in turns, early and late, and their memory and checkpoints."""
    end = steps + turns * (UNMEASURED_STEPS + MEASURED_STEPS)
    with tempfile.TemporaryDirectory() as folder, _racers(Path(folder), end + 1) as racers:
        _go_to(racers, EARLY_STEP)
        early = _take_turns(racers, turns)
        _go_to(racers, MARK_STEP)
        marks = {MARK_STEP: {name: racer.state() for name, racer in racers.items()}}
        _go_to(racers, steps)
        late = _take_turns(racers, turns)
        marks[end] = {name: racer.state() for name, racer in racers.items()}
    return {"windows": {EARLY_STEP: early, steps: late}, "marks": marks}


def _go_to(racers: dict[str, Racer], step: int) -> None:
    for racer in racers.values():
        if step > racer.step:
            racer.advance(step - racer.step)


def _take_turns(racers: dict[str, Racer], turns: int) -> dict[str, dict[str, list[float]]]:
    costs: dict[str, dict[str, list[float]]] = {name: {"wall": [], "cpu": []} for name in racers}
    names = list(racers)
    for turn in range(turns):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            racers[name].advance(UNMEASURED_STEPS)
            for key, value in racers[name].advance(MEASURED_STEPS).items():
                costs[name][key].append(value)
    return costs


@contextlib.contextmanager
def _racers(folder: Path, last_step: int) -> Iterator[dict[str, Racer]]:
    racers: dict[str, Racer] = {}
    try:
        for name in LOOPS:
            (folder / name).mkdir()
            racers[name] = Racer(name, folder / name, last_step)
        for racer in racers.values():
            racer.get_ready()
        yield racers
        for racer in racers.values():
            racer.finish()
    finally:
        for racer in racers.values():
            racer.process.kill()


def _work(name: str, connection: Connection, folder: Path, last_step: int) -> None:
    # what an engine prints goes to a file, as it does on a cluster
    screen = os.open(folder / "screen.txt", os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(screen, 1)
    os.dup2(screen, 2)
    torch.set_num_threads(1)
    LOOPS[name](Turns(connection, folder), last_step)


def table(figures: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    lines = [
        "| at step | loop | ms a step | ratio to bare | adds, ms | adds, CPU ms | limit, ms |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for step, costs in figures["windows"].items():
        bare = costs["bare"]
        for name, cost in costs.items():
            wall = statistics.median(cost["wall"])
            row = (
                f"| {step:,} | {name} | {wall:.3f} | {wall / statistics.median(bare['wall']):.2f} |"
            )
            if name == "bare":
                lines.append(f"{row} | | |")
                continue
            added = [_added(cost[key], bare[key]) for key in ("wall", "cpu")]
            lines.append(f"{row} {added[0]:.3f} | {added[1]:.3f} | {BUDGET_MS:.0f} |")
    lines += [
        "",
        "| loop | peak memory grows, MiB | checkpoint, bytes | later |",
        "| --- | ---: | ---: | ---: |",
    ]
    first, last = figures["marks"].values()
    for name in first:
        grown = last[name]["rss_mb"] - first[name]["rss_mb"]
        sizes = [mark[name]["checkpoint_bytes"] for mark in (first, last)]
        lines.append(f"| {name} | {grown:.1f} | {sizes[0]:,} | {sizes[1]:,} |")
    steps = " and ".join(f"{step:,}" for step in figures["marks"])
    same = all(mark["bare"]["weights"] == mark["gigakit"]["weights"] for mark in (first, last))
    lines += [
        "",
        f"Memory and checkpoints: after steps {steps}. Weights of bare and gigakit there: "
        f"{'bit-identical' if same else 'DIFFERENT'}.",
    ]
    return "\n".join(lines)


def _added(engine: list[float], bare: list[float]) -> float:
    return statistics.median(e - b for e, b in zip(engine, bare, strict=True))


if __name__ == "__main__":
    main()
