"""One table of an ablation: quality beside cost, failed runs shown as failed."""

from __future__ import annotations

import csv
import io
import math
import shlex
import statistics
from collections.abc import Sequence
from typing import Any

from gigakit.ablation.execution import is_finished, read_result
from gigakit.ablation.measures import measures_of
from gigakit.ablation.plan import Plan
from gigakit.core.files import write_json, write_text

_COST_TITLES = ("last loss", "parameters", "steps", "s/step", "CPU s", "peak MB")


def collect(plan: Plan) -> list[dict[str, Any]]:
    """Return one flat row per run: labels, seed, status, quality and cost."""
    rows = []
    for run in plan.runs:
        folder = plan.out / run.folder
        result = read_result(folder) or {}
        finished = is_finished(folder, run)
        status = "done" if finished else result.get("status", "not run")
        row: dict[str, Any] = {"cell": run.cell, **run.labels, "seed": run.seed, "status": status}
        if finished:
            row["metrics"] = result["metrics"]
            row |= {key.rpartition("/")[2]: value for key, value in result["metrics"].items()}
            row |= {key: result[key] for key in COST}
            row["notes"] = result.get("notes", [])
        rows.append(row)
    return rows


# a choice made here changes the embeddings themselves, which are what is predicted
UPSTREAM = ("preparation", "cohort", "features")
COST = (
    "first_loss",
    "last_loss",
    "parameters",
    "steps",
    "seconds",
    "cpu_seconds",
    "peak_memory_mb",
)


def write_report(plan: Plan, command: Sequence[str]) -> str:
    """Write ``table.md``, ``results.csv`` and ``results.json``, and return the table's text.

    Args:
        plan: the ablation.
        command: the command line that made it, for the footer.
    """
    rows = collect(plan)
    table = _markdown(rows) + _footer(plan, rows, command)
    write_text(plan.out / "table.md", table)
    flat = [{key: value for key, value in row.items() if key != "metrics"} for row in rows]
    write_json(plan.out / "results.json", {"recipe": plan.recipe, "runs": flat})
    columns = list(dict.fromkeys(key for row in flat for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows({**row, "notes": "; ".join(row.get("notes", []))} for row in flat)
    write_text(plan.out / "results.csv", text.getvalue())
    return table


def header(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Return the table's header, whose columns of quality are what the runs report."""
    return ("cell", "n", *measures_of(rows).columns.values(), *_COST_TITLES)


def table_rows(rows: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return the table's body: one line a cell, then the baselines, where there are any."""
    body = []
    quality = measures_of(rows).columns
    for cell in dict.fromkeys(row["cell"] for row in rows):
        runs = [row for row in rows if row["cell"] == cell]
        done = [row for row in runs if row["status"] == "done"]
        if not done:
            body.append((cell, "0", runs[0]["status"], *[""] * (len(header(rows)) - 3)))
            continue
        body.append(
            (
                cell,
                str(len(done)) + (f" of {len(runs)}" if len(done) < len(runs) else ""),
                *(_spread(done, key, 4) for key in quality),
                _spread(done, "last_loss", 4),
                f"{done[0]['parameters'] / 1e6:.1f} M",
                str(done[0]["steps"]),
                f"{_mean(done, 'seconds') / max(done[0]['steps'], 1):.3f}",
                f"{_mean(done, 'cpu_seconds'):.0f}",
                f"{_mean(done, 'peak_memory_mb'):.0f}",
            )
        )
    return [*body, *_baseline_rows(rows)]


def _baseline_rows(rows: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    # the questions are the same in every cell, so one finished run tells the baselines
    asked = next((row for row in rows if row["status"] == "done"), None)
    if asked is None:
        return []
    found = measures_of(rows)
    empty = [""] * len(_COST_TITLES)
    return [
        (title, "", *(_spread([asked], f"{key}_{name}", 4) for key in found.columns), *empty)
        for name, title in found.baselines.items()
    ]


def _markdown(rows: Sequence[dict[str, Any]]) -> str:
    titles = header(rows)
    lines = ["| " + " | ".join(titles) + " |", "|" + " --- |" * len(titles)]
    lines += ["| " + " | ".join(line) + " |" for line in table_rows(rows)]
    return "\n".join(lines) + "\n"


def _footer(plan: Plan, rows: Sequence[dict[str, Any]], command: Sequence[str]) -> str:
    done = [row for row in rows if row["status"] == "done"]
    lines = [
        "",
        f"{measures_of(rows).note} The last loss is each cell's own training objective. "
        "± is the standard deviation over seeds; n counts seeds."
        + (" One seed says nothing about chance." if all(row["seed"] == 0 for row in rows) else ""),
    ]
    if len({row["parameters"] for row in done}) > 1:
        lines.append("Cells differ in parameters.")
    upstream = [
        name for name, keys in plan.keys.items() if any(key.startswith(UPSTREAM) for key in keys)
    ]
    if upstream and measures_of(rows).of_stored:
        lines.append(
            f"Cells that differ in {', '.join(upstream)} predict different embeddings: "
            "their R² and cosine are not comparable."
        )
    if len({row["steps"] for row in done}) > 1:
        lines.append("Cells differ in steps: the budgets are not equal.")
    lines += _notes(done)
    failed = [f"{row['cell']}, seed {row['seed']}" for row in rows if row["status"] != "done"]
    if failed:
        lines.append("Not finished: " + "; ".join(failed) + ".")
    lines.append(f"Recipe {plan.name}; made by `{shlex.join(command)}`.")
    return "\n\n".join(lines).lstrip("\n").join(["\n", "\n"])


def _notes(done: Sequence[dict[str, Any]]) -> list[str]:
    """Return what runs noted: once what all share, then each cell's own."""
    by_cell = {row["cell"]: row["notes"] for row in done}
    shared = [
        note
        for note in next(iter(by_cell.values()), [])
        if all(note in notes for notes in by_cell.values())
    ]
    lines = [f"All cells: {note}." for note in shared]
    for cell, notes in by_cell.items():
        lines += [f"{cell}: {note}." for note in notes if note not in shared]
    return lines


def _mean(rows: Sequence[dict[str, Any]], key: str) -> float:
    return statistics.fmean(row[key] for row in rows)


def _spread(rows: Sequence[dict[str, Any]], key: str, digits: int) -> str:
    values = [row[key] for row in rows if row.get(key) is not None and math.isfinite(row[key])]
    if not values:
        return "n/a"
    mean = f"{statistics.fmean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean
