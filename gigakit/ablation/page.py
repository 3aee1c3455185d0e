"""The page of an ablation: table, pictures, differences, commands; one file, without a network."""

from __future__ import annotations

import html
import re
import string
from collections.abc import Sequence
from pathlib import Path

from gigakit import __version__
from gigakit.ablation.comparison import ComparedCell, Comparison
from gigakit.ablation.figures import is_wide, svg_panels
from gigakit.ablation.measures import reference_values
from gigakit.ablation.outcomes import Outcome
from gigakit.ablation.panels import cell_colours
from gigakit.ablation.remarks import notes_about, warnings_of
from gigakit.ablation.tables import (
    cost_texts,
    cost_titles,
    delta_texts,
    delta_titles,
    quality_text,
    seeds_text,
)

FILE = "index.html"
_TEMPLATE = Path(__file__).with_name("page.html")
_CAPTIONS = {
    "differences": "Dots: mean of the differences paired by seed; ticks: seeds; thick: bootstrap "
    "interval; thin: Student's t interval, 95 % each.",
    "cost": "Means, and standard deviations over seeds. Ringed: no other cell is both cheaper and "
    "better (the dotted line joins them). Hollow: seeds are missing, so it is left out there.",
    "loss": "Thin: seeds; thick: their mean, where all have begun and as far as all have come. "
    "Losses of different objectives do not compare.",
    "validation": "The same evaluator for every cell. Thin: seeds; thick: their mean.",
}


def page_text(comparison: Comparison, commands: str) -> str:
    """Return the page as HTML.

    Args:
        comparison: the ablation.
        commands: what makes it again, as a script.
    """
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in notes_about(comparison))
    return string.Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=html.escape(_title(comparison)),
        lead=html.escape(_lead(comparison)),
        warnings=_warnings(comparison),
        head=_head(comparison),
        rows="".join(_row(comparison, cell) for cell in comparison.cells) + _references(comparison),
        legend=_legend(comparison),
        figures=_figures(comparison),
        notes=notes,
        differences=_differences(comparison),
        run_head=_run_head(comparison),
        runs="".join(_run(comparison, run) for run in comparison.runs),
        commands=f"<pre>{html.escape(commands)}</pre>",
        version=html.escape(__version__),
    )


def _title(comparison: Comparison) -> str:
    return f"{comparison.plan.name}: ablation of {' × '.join(comparison.plan.keys)}"


def _lead(comparison: Comparison) -> str:
    runs, done = len(comparison.runs), len(comparison.done)
    seeds = len({run.run.seed for run in comparison.runs})
    return (
        f"{_counted(len(comparison.cells), 'cell')}, {_counted(seeds, 'seed')}: {done} of {runs} "
        f"runs done. Compared in {comparison.metric.title} ({comparison.metric.name}) with "
        f"{comparison.baseline}."
    )


def _counted(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def _warnings(comparison: Comparison) -> str:
    found = warnings_of(comparison)
    items = "".join(f"<li>{html.escape(warning)}</li>" for warning in found)
    return f'<div class="warnings"><b>Warnings</b><ul>{items}</ul></div>' if found else ""


def _head(comparison: Comparison) -> str:
    quality = [metric.title for metric in comparison.shown]
    costs = cost_titles(comparison)
    cells = ['<th scope="col">cell</th><th scope="col">n</th>']
    cells += [f'<th scope="col">{html.escape(title)}</th>' for title in quality]
    cells += [f'<th scope="col">{html.escape(title)}</th>' for title in delta_titles(comparison)]
    cells += [
        f'<th scope="col" class="cost{" first" if not number else ""}">{html.escape(title)}</th>'
        for number, title in enumerate(costs)
    ]
    return "".join(cells)


def _row(comparison: Comparison, cell: ComparedCell) -> str:
    colour = cell_colours(comparison)[cell.name]
    parts = [f'<th scope="row" data-value="{html.escape(cell.name)}">{_labels(cell, colour)}</th>']
    state = _state_class(cell)
    parts.append(_cell(seeds_text(cell), f"{state} why" if state else ""))
    parts += [_cell(quality_text(cell, metric)) for metric in comparison.shown]
    parts += [
        _cell(text, "why text" if cell.without not in ("", "baseline") else "")
        for text in delta_texts(comparison, cell)
    ]
    parts += _costs(cost_texts(comparison, cell))
    kind = ' class="baseline"' if cell.name == comparison.baseline else ""
    return f"<tr{kind}>{''.join(parts)}</tr>"


def _references(comparison: Comparison) -> str:
    asked = comparison.reference
    if asked is None:
        return ""
    rest = len(delta_titles(comparison))
    empty = ("",) * len(cost_titles(comparison))
    rows = []
    for title, values in reference_values(asked.metrics, comparison.shown).items():
        texts = "".join(map(_cell, ["", *values, *[""] * rest])) + "".join(_costs(empty))
        rows.append(f'<tr class="reference"><th scope="row">{html.escape(title)}</th>{texts}</tr>')
    return "".join(rows)


def _costs(texts: Sequence[str]) -> list[str]:
    return [_cell(text, "cost" if number else "cost first") for number, text in enumerate(texts)]


def _cell(text: str, kind: str = "") -> str:
    # a minus of the width of a plus, for reading; files keep the one that programs read
    shown = re.sub(r"(^|[\[ ])-(?=\d)", r"\1−", html.escape(text))
    # uncertainty, states and reasons on a line of their own keep the table narrow
    shown = re.sub(r"^(\S+(?: of \d+)?) ((?:±|\[|\().*)$", r"\1<small>\2</small>", shown)
    shown = re.sub(r"^(\[.*)$", r"<small>\1</small>", shown)
    shown = re.sub(r"^(not comparable): (.*)$", r"\1<small>\2</small>", shown)
    return f'<td class="{kind}" data-value="{html.escape(text)}">{shown}</td>'


def _state_class(cell: ComparedCell) -> str:
    states = {run.status for run in cell.runs}
    for name in ("failed", "interrupted", "unfinished", "not run"):
        if name in states:
            return name.partition(" ")[0]
    return ""


def _labels(cell: ComparedCell, colour: str) -> str:
    dot = f'<span class="swatch" style="background:{colour}"></span>'
    lines = [
        f'<span class="label">{dot if number == 0 else ""}<span class="axis">{html.escape(axis)}'
        f"</span> {html.escape(label)}</span>"
        for number, (axis, label) in enumerate(cell.labels.items())
    ]
    return "".join(lines)


def _legend(comparison: Comparison) -> str:
    return "".join(
        f'<span><span class="swatch" style="background:{colour}"></span>{html.escape(name)}</span>'
        for name, colour in cell_colours(comparison).items()
    )


def _figures(comparison: Comparison) -> str:
    wide = ' class="wide"' if is_wide(comparison) else ""
    return "".join(
        f"<figure{wide if name == 'differences' else ''}>{svg}"
        f"<figcaption>{_CAPTIONS[name]}</figcaption></figure>"
        for name, svg in svg_panels(comparison).items()
    )


def _differences(comparison: Comparison) -> str:
    return "".join(
        f"<details><summary>{html.escape(cell.name)}</summary>"
        f'<pre class="wrap">{html.escape(comparison.configs.text(cell.name))}</pre></details>'
        for cell in comparison.cells
        if cell.name != comparison.baseline
    )


def _run_head(comparison: Comparison) -> str:
    titles = [*(metric.title for metric in comparison.shown), "last loss", "steps"]
    head = '<th scope="col">run</th><th scope="col" class="text">state</th>'
    return head + "".join(f'<th scope="col">{html.escape(title)}</th>' for title in titles)


def _run(comparison: Comparison, run: Outcome) -> str:
    reason = f"<small>{html.escape(run.reason)}</small>" if run.reason else ""
    state = (
        f'<td class="text why"><span class="{run.status.partition(" ")[0]}">{run.status}</span>'
        f"{reason}</td>"
    )
    texts = [_number(run.value(metric.name), metric.digits) for metric in comparison.shown]
    texts += [_number(run.value("last_loss"), 4), _number(run.value("steps"), 0)]
    name = html.escape(run.run.folder)
    return f'<tr><th scope="row">{name}</th>{state}{"".join(map(_cell, texts))}</tr>'


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
