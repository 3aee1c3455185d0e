"""The answer of an ablation: its table, results, pictures, differences, commands, and its page."""

from __future__ import annotations

import csv
import dataclasses
import io
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gigakit.ablation.commands import FILE as COMMANDS
from gigakit.ablation.commands import commands_text
from gigakit.ablation.comparison import ComparedCell, Comparison, compare
from gigakit.ablation.figures import write_pictures
from gigakit.ablation.hparams import write_hparams
from gigakit.ablation.page import FILE as PAGE
from gigakit.ablation.page import page_text
from gigakit.ablation.plan import Plan
from gigakit.ablation.remarks import notes_about, warnings_of
from gigakit.ablation.tables import markdown
from gigakit.core.files import write_json, write_text

TABLE = "table.md"
RESULTS = "results.json"
ROWS = "results.csv"
DIFFERENCES = "differences"


def write_report(
    plan: Plan,
    command: Sequence[str],
    *,
    metric: str | None = None,
    baseline: str | None = None,
) -> Comparison:
    """Write everything that tells what came of an ablation into its folder.

    ``table.md``, ``results.csv`` (a row a run), ``results.json``, ``curves.png``,
    ``quality_cost.png``, ``differences.png``, ``differences/<cell>.txt``, ``commands.sh``,
    ``index.html``, and the HParams of TensorBoard beside each run's events. Runs may still go on.

    Args:
        plan: the ablation.
        command: the command line that made it; empty where nothing noted it.
        metric: whose differences are told; by default the recipe's main one.
        baseline: the cell that the others are compared with; by default the plan's.

    Returns:
        What was compared, for a table on the screen.

    Raises:
        ConfigError: no such cell or metric.
    """
    comparison = compare(plan, metric=metric, baseline=baseline)
    write_text(plan.out / TABLE, markdown(comparison) + _footer(comparison, command))
    write_json(plan.out / RESULTS, results(comparison, command))
    write_text(plan.out / ROWS, _csv(comparison))
    _write_differences(plan.out / DIFFERENCES, comparison)
    commands = commands_text(plan, command)
    write_text(plan.out / COMMANDS, commands)
    write_pictures(plan.out, comparison)
    write_text(plan.out / PAGE, page_text(comparison, commands))
    write_hparams(comparison)
    return comparison


def results(comparison: Comparison, command: Sequence[str]) -> dict[str, Any]:
    """Return what ``results.json`` holds: cells with statistics, runs, warnings, notes."""
    metric = comparison.metric
    return {
        "recipe": comparison.plan.recipe,
        "name": comparison.plan.name,
        "axes": comparison.plan.keys,
        "command": list(command),
        "baseline": comparison.baseline,
        "metric": {"name": metric.name, "higher_is_better": metric.higher_is_better},
        "cells": [_cell(cell) for cell in comparison.cells],
        "runs": [run.row() for run in comparison.runs],
        "warnings": warnings_of(comparison),
        "notes": notes_about(comparison),
    }


def _write_differences(folder: Path, comparison: Comparison) -> None:
    names = {f"{cell.name}.txt": cell.name for cell in comparison.cells}
    for path in folder.glob("*.txt"):
        # of an earlier report, with other cells or another baseline
        if names.get(path.name, comparison.baseline) == comparison.baseline:
            path.unlink()
    for file, name in names.items():
        if name != comparison.baseline:
            write_text(folder / file, comparison.configs.text(name))


def _cell(cell: ComparedCell) -> dict[str, Any]:
    return {
        "cell": cell.name,
        "labels": dict(cell.labels),
        "status": cell.status,
        "n": len(cell.done),
        "quality": {
            name: None if spread is None else dataclasses.asdict(spread)
            for name, spread in cell.quality.items()
        },
        "difference": None if cell.delta is None else dataclasses.asdict(cell.delta),
        "without_difference": cell.without,
        "seconds_per_step": cell.seconds_per_step,
        "cpu_seconds": cell.mean("cpu_seconds"),
    }


def _csv(comparison: Comparison) -> str:
    rows = [run.row() for run in comparison.runs]
    columns = list(dict.fromkeys(key for row in rows for key in row if key != "notes"))
    text = io.StringIO()
    writer = csv.DictWriter(text, [*columns, "notes"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "notes": "; ".join(row["notes"])} for row in rows)
    return text.getvalue()


def _footer(comparison: Comparison, command: Sequence[str]) -> str:
    lines = [f"**{warning}**" for warning in warnings_of(comparison)]
    lines += notes_about(comparison)
    made = f"; made by `{shlex.join(command)}`" if command else ""
    lines.append(f"Recipe {comparison.plan.name}{made}.")
    return "\n" + "\n\n".join(lines) + "\n"
