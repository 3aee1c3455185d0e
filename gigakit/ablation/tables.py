"""An ablation's table as text: quality beside cost, a line a cell."""

from __future__ import annotations

import re

from gigakit.ablation.comparison import ComparedCell, Comparison
from gigakit.ablation.measures import Metric, reference_values
from gigakit.ablation.statistics import Paired, Spread

UNLIKE = "†"
_MILLION = 1e6
_LARGE = 1000.0


def header(comparison: Comparison) -> tuple[str, ...]:
    """Return the titles of the columns, which depend on what runs report."""
    return (
        "cell",
        "n",
        *(metric.title for metric in comparison.shown),
        *delta_titles(comparison),
        *cost_titles(comparison),
    )


def table_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return the body: one line a cell, then what needs no training, where runs report it."""
    shown = comparison.shown
    rows = [
        (
            cell.name,
            seeds_text(cell),
            *(quality_text(cell, metric) for metric in shown),
            *delta_texts(comparison, cell),
            *cost_texts(comparison, cell),
        )
        for cell in comparison.cells
    ]
    # the questions are the same in every cell, so one finished run tells the references
    asked = comparison.reference.metrics if comparison.reference else {}
    rest = ("",) * (len(delta_titles(comparison)) + len(cost_titles(comparison)))
    for title, values in reference_values(asked, shown).items():
        rows.append((title, "", *values, *rest))
    return rows


def markdown(comparison: Comparison) -> str:
    """Return the table in Markdown."""
    titles = header(comparison)
    lines = [titles, ("---",) * len(titles), *table_rows(comparison)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def screen_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return the body for a screen: axes, intervals and states on lines of their own."""
    rows = []
    for name, *texts in table_rows(comparison):
        folded = (re.sub(r" (?=[\[(±])|: (?=\w)", "\n", text) for text in texts)
        rows.append((name.replace(",", "\n"), *folded))
    return rows


def seeds_text(cell: ComparedCell) -> str:
    """Return how many of a cell's runs are done, and the states of the others."""
    done, planned = len(cell.done), len(cell.runs)
    return str(done) if done == planned else f"{done} of {planned} ({_others(cell)})"


def quality_text(cell: ComparedCell, metric: Metric) -> str:
    """Return ``mean ± sd``, with a sign where it does not compare with the baseline."""
    text = spread_text(cell.quality[metric.name], metric.digits)
    return f"{text} {UNLIKE}" if metric.name in cell.unlike and cell.done else text


def spread_text(value: Spread | None, digits: int) -> str:
    """Return ``mean ± sd``; a dash where nothing was measured."""
    if value is None:
        return "–"
    mean = _decimal(value.mean, digits)
    return mean if value.sd is None else f"{mean} ± {_decimal(value.sd, digits)}"


def delta_texts(comparison: Comparison, cell: ComparedCell) -> tuple[str, ...]:
    """Return the difference to the baseline with its bootstrap interval, and the t interval."""
    if len(comparison.cells) == 1:
        return ()
    if cell.without == "baseline":
        return ("baseline", "")
    if cell.without:
        return (f"not comparable: {cell.without}", "")
    return paired_texts(cell.delta, comparison.metric)


def paired_texts(delta: Paired | None, metric: Metric) -> tuple[str, str]:
    """Return a difference with its bootstrap interval, and the t interval."""
    if delta is None:
        return ("–", "")
    mean = signed(delta.mean, metric.digits)
    if delta.bootstrap is None or delta.student is None:
        few = "no interval" if metric.once else f"n = {delta.n} too small"
        return (f"{mean} ({few})", "")
    return (
        f"{mean} {_interval(delta.bootstrap, metric.digits)}",
        _interval(delta.student, metric.digits),
    )


def cost_texts(comparison: Comparison, cell: ComparedCell) -> tuple[str, ...]:
    """Return what a cell cost, means over its finished seeds; empty texts without one."""
    if not cell.done:
        return ("",) * len(cost_titles(comparison))
    steps = {run.cost["steps"] for run in cell.done}
    made = sorted(f"{step}" for step in steps)
    return tuple(
        text
        for title, text in {
            "last loss": spread_text(cell.quality["last_loss"], 4),
            "parameters": f"{(cell.mean('parameters') or 0) / _MILLION:.2f} M",
            "steps": made[0] if len(made) == 1 else f"{made[0]} to {made[-1]}",
            "GFLOP/step": _plain(cell.mean("flops_per_step"), 1e-9),
            "s/step": _plain(cell.seconds_per_step),
            "CPU s": _plain(cell.mean("cpu_seconds")),
            "peak MB": f"{cell.mean('peak_memory_mb') or 0:.0f}",
            "CUDA MB": f"{cell.mean('peak_cuda_memory_mb') or 0:.0f}",
        }.items()
        if title in cost_titles(comparison)
    )


def delta_titles(comparison: Comparison) -> tuple[str, ...]:
    """Return the titles of the columns of differences; none where there is one cell."""
    if len(comparison.cells) == 1:
        return ()
    return (f"Δ {comparison.metric.title}, bootstrap 95 %", "t 95 %")


def cost_titles(comparison: Comparison) -> tuple[str, ...]:
    """Return the titles of the columns of cost, as far as runs report them."""
    titles = {
        "last loss": "last_loss",
        "parameters": "parameters",
        "steps": "steps",
        "GFLOP/step": "flops_per_step",
        "s/step": "seconds",
        "CPU s": "cpu_seconds",
        "peak MB": "peak_memory_mb",
        "CUDA MB": "peak_cuda_memory_mb",
    }
    optional = ("GFLOP/step", "CUDA MB")
    return tuple(
        title
        for title, name in titles.items()
        if title not in optional or any(run.value(name) is not None for run in comparison.done)
    )


def signed(value: float, digits: int) -> str:
    """Return a number with its sign."""
    text = _decimal(value, digits)
    return text if text.startswith("-") else f"+{text}"


def _others(cell: ComparedCell) -> str:
    states = [run.status for run in cell.runs if not run.done]
    return ", ".join(
        state if len(cell.runs) == 1 else f"{states.count(state)} {state}"
        for state in dict.fromkeys(states)
    )


def _interval(interval: tuple[float, float], digits: int) -> str:
    return "[" + ", ".join(signed(value, digits) for value in interval) + "]"


def _decimal(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if abs(value) < _LARGE else f"{value:.4g}"


def _plain(value: float | None, scale: float = 1.0) -> str:
    return "–" if value is None else f"{value * scale:.3g}"
