"""What each cell of an ablation will cost: measured in a process of its own, nothing kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gigakit.ablation.plan import Plan, Run
from gigakit.ablation.run_state import is_finished
from gigakit.core.errors import GigakitError


@dataclass(frozen=True)
class CellCost:
    """What a run of a cell costs.

    Args:
        cell: its name.
        cost: entries of :class:`gigakit.engine.dry_run.StepCost`, and ``seconds`` of a run, the
            imports included; empty where the cell cannot run.
        reason: why it cannot.
    """

    cell: str
    cost: dict[str, Any] = field(default_factory=dict)
    reason: str = ""


def probe_cells(
    plan: Plan,
    *,
    probe_steps: int = 3,
    environment: Mapping[str, str] = MappingProxyType({}),
    announce: Callable[[str], None] = lambda _: None,
) -> list[CellCost]:
    """Make a few steps of each cell and return what they cost; nothing is left behind.

    Cells are probed one after another, so that they do not slow each other; what they prepare alike
    is prepared once.

    Args:
        plan: the ablation.
        probe_steps: steps to time; 0 probes nothing.
        environment: variables of the processes beside this one's own.
        announce: receives a line before each cell.
    """
    runs = [run for run in plan.runs if run.seed == 0] if probe_steps else []
    costs = []
    with tempfile.TemporaryDirectory(prefix="gigakit-ablation-") as scratch:
        for number, run in enumerate(runs, start=1):
            announce(f"[{number}/{len(runs)}] probing {run.cell}")
            costs.append(_probe(plan, run, probe_steps, scratch, environment))
    return costs


def estimate_seconds(plan: Plan, costs: Sequence[CellCost], jobs: int) -> float | None:
    """Return the wall time of the runs that are not finished, ``None`` where a cost is unknown.

    Args:
        plan: the ablation.
        costs: of each cell.
        jobs: runs that go on at a time; each is taken to be as fast as alone.
    """
    known = {cost.cell: cost.cost["seconds"] for cost in costs if cost.cost}
    left = [run.cell for run in plan.runs if not is_finished(plan.out / run.folder, run)]
    if not all(cell in known for cell in left):
        return None
    ends = [0.0] * jobs
    for cell in left:
        # the next run starts where one ends first
        ends[ends.index(min(ends))] += known[cell]
    return max(ends)


def cost_warnings(costs: Sequence[CellCost]) -> list[str]:
    """Say what makes cells unequal."""
    found = [f"{cost.cell} cannot run: {cost.reason}" for cost in costs if cost.reason]
    done = [cost for cost in costs if cost.cost]
    for key, what in {
        "parameters": "cells differ in trained parameters",
        "steps": "the budgets are not equal: cells differ in steps",
        "samples_per_step": "the budgets are not equal: cells differ in samples a step",
    }.items():
        values = list(dict.fromkeys(str(cost.cost[key]) for cost in done))
        if len(values) > 1:
            found.append(f"{what} ({', '.join(values)})")
    return found


def _probe(
    plan: Plan, run: Run, probe_steps: int, scratch: str, environment: Mapping[str, str]
) -> CellCost:
    asked = {
        "recipe": plan.recipe,
        "overrides": run.overrides,
        "probe_steps": probe_steps,
        "scratch": scratch,
    }
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps(asked),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        cost: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return CellCost(run.cell, cost)
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return CellCost(run.cell, reason=lines[-1].removeprefix("error: "))


def main() -> None:
    """Measure the recipe named on standard input, and write its cost to standard output."""
    asked = json.load(sys.stdin)
    begin = time.perf_counter()
    from gigakit.config import apply_section, load_config  # noqa: PLC0415
    from gigakit.engine.dry_run import measure_step_cost  # noqa: PLC0415

    imports = time.perf_counter() - begin
    loaded = apply_section(load_config(asked["recipe"], asked["overrides"]), "sample")
    try:
        cost = measure_step_cost(
            loaded, probe_steps=asked["probe_steps"], scratch=Path(asked["scratch"])
        )
    except GigakitError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    sys.stdout.write(json.dumps({**asdict(cost), "seconds": imports + cost.seconds}) + "\n")


if __name__ == "__main__":
    main()
