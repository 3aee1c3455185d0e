"""What became of each run of an ablation, told from its files alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gigakit.ablation.execution import is_finished, read_result
from gigakit.ablation.plan import Plan, Run

COST = (
    "first_loss",
    "last_loss",
    "parameters",
    "steps",
    "skipped_steps",
    "seconds",
    "cpu_seconds",
    "peak_memory_mb",
    "peak_cuda_memory_mb",
)
_SCALARS = "scalars.jsonl"


@dataclass(frozen=True)
class Outcome:
    """One run: whether it is done, and what it came to.

    Args:
        run: as planned.
        status: ``done``, ``failed``, ``interrupted``, ``unfinished`` (it goes on, or was killed) or
            ``not run``.
        reason: why it is not done.
        metrics: of the last validation, and of what else was scored, by full name; of done runs.
        cost: what it took, and its losses; of done runs.
        notes: what a user should know about the run.
        curves: points ``(step, value)`` by tag, such as ``train/loss``, as far as the run came.
    """

    run: Run
    status: str
    reason: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    cost: Mapping[str, float | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    curves: Mapping[str, list[tuple[int, float]]] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether the run came to its end."""
        return self.status == "done"

    def value(self, name: str) -> float | None:
        """Return a metric, or what a run reports of itself, by name; ``None`` without."""
        found = self.metrics.get(name)
        return self.cost.get(name) if found is None else found

    def row(self) -> dict[str, Any]:
        """Return all of it but the curves, flat."""
        steps = max((points[-1][0] for points in self.curves.values() if points), default=0)
        return {
            "cell": self.run.cell,
            **self.run.labels,
            "seed": self.run.seed,
            "status": self.status,
            "reason": self.reason,
            "last_step": steps,
            **self.cost,
            **self.metrics,
            "notes": list(self.notes),
        }


def read_outcomes(plan: Plan) -> list[Outcome]:
    """Return what became of each run of a plan, in its order; runs may still go on."""
    return [_outcome(plan.out / run.folder, run) for run in plan.runs]


def _outcome(folder: Path, run: Run) -> Outcome:
    started = folder / "run.json"
    if not started.is_file():
        return Outcome(run, "not run")
    if json.loads(started.read_text(encoding="utf-8"))["digest"] != run.digest:
        return Outcome(run, "not run", "its folder holds a run of other settings")
    curves = _curves(folder / _SCALARS)
    result = read_result(folder)
    last = max((points[-1][0] for points in curves.values()), default=0)
    # steps beyond its result: an interrupted run was taken up again
    if result is None or (result["status"] != "done" and last > result.get("steps", last)):
        reason = f"no result after step {last}: it still runs, or was killed"
        return Outcome(run, "unfinished", reason, curves=curves)
    if not is_finished(folder, run):
        reason = result.get("reason") or "without a reason"
        return Outcome(run, result["status"], str(reason), curves=curves)
    metrics = {**result["metrics"], **result.get("downstream", {})}
    cost = {name: result.get(name) for name in COST}
    return Outcome(
        run,
        "done",
        metrics={name: value for name, value in metrics.items() if value is not None},
        cost=cost | {"flops_per_step": _flops(curves)},
        notes=tuple(result.get("notes", [])),
        curves=curves,
    )


def _curves(path: Path) -> dict[str, list[tuple[int, float]]]:
    curves: dict[str, list[tuple[int, float]]] = {}
    if not path.is_file():
        return curves
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        # the last line may be half written right now
        if not line.endswith("\n"):
            continue
        row = json.loads(line)
        step = row.pop("step")
        for tag, value in row.items():
            if value is not None:
                curves.setdefault(tag, []).append((step, value))
    return curves


def _flops(curves: Mapping[str, list[tuple[int, float]]]) -> float | None:
    """Return FLOPs a step, from FLOPs and steps a second of the last interval that has both."""
    steps = dict(curves.get("perf/steps_per_second", ()))
    for step, tera in reversed(curves.get("perf/tflops_per_second", [])):
        if steps.get(step):
            return tera * 1e12 / steps[step]
    return None
