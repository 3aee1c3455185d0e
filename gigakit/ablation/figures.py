"""Pictures of an ablation: curves, quality against cost, and differences to the baseline."""

from __future__ import annotations

import io
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gigakit.ablation.comparison import Cell, Comparison, values_by_seed
from gigakit.ablation.measures import LOSS, Metric
from gigakit.core.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# stands for the page's own colour of text, so that a picture follows its light or dark scheme
_INK = "#010203"
_FEW, _MORE = 10, 20
# a curve that spans more decades is drawn on a logarithmic axis
_WIDE_RATIO = 50.0
_ROWS_A_LEGEND_COLUMN = 14
_LINES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
_RCPARAMS: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#8888884d",
    "grid.linewidth": 0.6,
}
Draw = Callable[["Axes", Comparison], None]


def cell_colours(comparison: Comparison) -> dict[str, str]:
    """Return a colour for each cell, as ``#rrggbb``."""
    from matplotlib import colormaps  # noqa: PLC0415
    from matplotlib.colors import to_hex  # noqa: PLC0415

    names = [cell.name for cell in comparison.cells]
    if len(names) > _MORE:
        spread = colormaps["turbo"]
        return {n: to_hex(spread(0.05 + 0.9 * k / len(names))) for k, n in enumerate(names)}
    listed = colormaps["tab10" if len(names) <= _FEW else "tab20"]
    return {name: to_hex(listed(number)) for number, name in enumerate(names)}


def write_pictures(folder: Path, comparison: Comparison) -> list[str]:
    """Write ``curves.png``, ``quality_cost.png`` and, of several cells, ``differences.png``.

    Returns:
        Their names.
    """
    pictures: dict[str, list[Draw]] = {
        "curves.png": [draw_loss, draw_validation],
        "quality_cost.png": [draw_cost],
    }
    if has_differences(comparison):
        pictures["differences.png"] = [draw_differences]
    for name, panels in pictures.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_bytes(_picture(comparison, panels))
    return list(pictures)


def svg_panels(comparison: Comparison) -> dict[str, str]:
    """Return each panel as SVG text to stand in a page, in the page's own colour of text."""
    panels: dict[str, Draw] = {"cost": draw_cost, "loss": draw_loss, "validation": draw_validation}
    if has_differences(comparison):
        panels = {"differences": draw_differences, **panels}
    return {name: _svg(comparison, draw, name) for name, draw in panels.items()}


def has_differences(comparison: Comparison) -> bool:
    """Tell whether any cell has a difference to the baseline."""
    return any(cell.delta is not None for cell in comparison.cells)


def draw_loss(axes: Axes, comparison: Comparison) -> None:
    """Draw the training loss over steps: thin lines are seeds, thick ones their mean."""
    _draw_curves(axes, comparison, "train/loss")
    axes.set(title="training loss", xlabel="step")


def draw_validation(axes: Axes, comparison: Comparison) -> None:
    """Draw the validation metric over steps, as the loss."""
    metric = _validated(comparison)
    if metric is None:
        _say(axes, "no validation")
        return
    _draw_curves(axes, comparison, f"val/{metric.name}")
    axes.set(title=f"validation, {metric.title}", xlabel="step")


def draw_cost(axes: Axes, comparison: Comparison) -> None:
    """Draw quality against cost, means with deviations over seeds, and the Pareto front."""
    metric, (name, unit) = comparison.metric, _cost_axis(comparison)
    colours = cell_colours(comparison)
    points = {}
    for cell in comparison.comparable:
        quality, cost = (list(values_by_seed(cell.done, n).values()) for n in (metric.name, name))
        if quality and cost:
            points[cell.name] = (statistics.fmean(cost), statistics.fmean(quality))
            axes.errorbar(
                *points[cell.name],
                xerr=_deviation(cost),
                yerr=_deviation(quality),
                fmt="o",
                markersize=7,
                linewidth=1,
                color=colours[cell.name],
                # seeds are missing: its mean is over other seeds than the rest
                markerfacecolor=None if len(cell.done) == len(cell.runs) else "none",
                zorder=3,
            )
    if not points:
        _say(axes, "no finished run")
        return
    whole = {c.name: points[c.name] for c in comparison.cells if _is_whole(c, points)}
    front = pareto_front(whole, higher_is_better=metric.higher_is_better)
    if len(front) > 1:
        line = [points[name] for name in front]
        axes.plot(*zip(*line, strict=True), color=_INK, linewidth=0.9, linestyle=":", zorder=1)
    for cell_name in front:
        axes.plot(*points[cell_name], "o", markersize=12, markerfacecolor="none", color=_INK)
    arrow = "higher" if metric.higher_is_better else "lower"
    axes.set(
        title="quality against cost", xlabel=unit, ylabel=f"{metric.title} ({arrow} is better)"
    )
    left_out = len(comparison.cells) - len(points)
    if left_out:
        axes.text(
            1, 1.02, f"{left_out} not shown", transform=axes.transAxes, ha="right", fontsize=8
        )


def draw_differences(axes: Axes, comparison: Comparison) -> None:
    """Draw each cell's difference to the baseline: seeds, mean, and t and bootstrap intervals."""
    colours = cell_colours(comparison)
    base = next(cell for cell in comparison.cells if cell.name == comparison.baseline)
    reference = values_by_seed(base.done, comparison.metric.name)
    compared = [cell for cell in comparison.cells if cell.delta is not None]
    for row, cell in enumerate(compared):
        values = values_by_seed(cell.done, comparison.metric.name)
        seeds = [values[seed] - reference[seed] for seed in values if seed in reference]
        _draw_interval(axes, row, cell, colours[cell.name])
        axes.plot(seeds, [row] * len(seeds), "|", color=colours[cell.name], markersize=8, zorder=3)
    axes.axvline(0, color=_INK, linewidth=0.8)
    axes.set_yticks(range(len(compared)), [short_name(cell) for cell in compared])
    axes.set_ylim(len(compared) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.set(
        title=f"difference to {short_name(base)}".replace("\n", ", "),
        xlabel=f"Δ {comparison.metric.title}",
    )


def pareto_front(points: Mapping[str, tuple[float, float]], *, higher_is_better: bool) -> list[str]:
    """Return the names of what nothing beats in both cost and quality, cheapest first.

    Args:
        points: cost and quality by name; less cost is better.
        higher_is_better: of quality.
    """
    sign = 1.0 if higher_is_better else -1.0
    front: list[str] = []
    for name in sorted(points, key=lambda n: (points[n][0], -sign * points[n][1])):
        if not front or sign * points[name][1] > sign * points[front[-1]][1]:
            front.append(name)
    return front


def short_name(cell: Cell) -> str:
    """Return a cell's labels, a line for each two; the axis too where a label is a number."""
    labels = [
        f"{axis}={label}" if label[:1] in "-.0123456789" else label
        for axis, label in cell.labels.items()
    ]
    pairs = [" · ".join(labels[k : k + 2]) for k in range(0, len(labels), 2)]
    return "\n".join(pairs)


def _is_whole(cell: Cell, points: Mapping[str, tuple[float, float]]) -> bool:
    return cell.name in points and len(cell.done) == len(cell.runs)


def _draw_interval(axes: Axes, row: int, cell: Cell, colour: str) -> None:
    if cell.delta is None:
        return
    for interval, width in ((cell.delta.student, 1.2), (cell.delta.bootstrap, 4.0)):
        if interval is not None:
            axes.plot(
                interval,
                [row, row],
                color=colour,
                linewidth=width,
                alpha=0.6,
                solid_capstyle="butt",
            )
    axes.plot([cell.delta.mean], [row], "o", color=colour, markersize=6, zorder=4)


def _draw_curves(axes: Axes, comparison: Comparison, tag: str) -> None:
    colours, drawn = cell_colours(comparison), []
    for number, cell in enumerate(comparison.cells):
        curves = [run.curves[tag] for run in cell.runs if run.curves.get(tag)]
        for points in curves:
            axes.plot(
                *zip(*points, strict=True), color=colours[cell.name], linewidth=0.7, alpha=0.4
            )
            drawn += [value for _, value in points]
        mean = _mean_curve(curves)
        if mean:
            marker = "o" if len(mean) < _FEW else ""
            axes.plot(
                *zip(*mean, strict=True),
                color=colours[cell.name],
                linewidth=1.8,
                # cells that come to the same stay visible on each other
                linestyle=_LINES[number % len(_LINES)],
                marker=marker,
                markersize=3,
            )
    if not drawn:
        _say(axes, "nothing logged yet")
    elif min(drawn) > 0 and max(drawn) / min(drawn) > _WIDE_RATIO:
        axes.set_yscale("log")


def _mean_curve(curves: Sequence[Sequence[tuple[int, float]]]) -> list[tuple[int, float]]:
    """Return the mean over seeds at the steps that all of them have."""
    by_step = [dict(points) for points in curves]
    common = sorted(set.intersection(*map(set, by_step))) if by_step else []
    return [(step, statistics.fmean(one[step] for one in by_step)) for step in common]


def _validated(comparison: Comparison) -> Metric | None:
    """Return the metric whose curve is shown: the chosen one, or the first that has a curve."""
    tags = {tag for run in comparison.runs for tag in run.curves}
    for metric in (comparison.metric, *comparison.shown):
        if metric.name != LOSS and f"val/{metric.name}" in tags:
            return metric
    return None


def _cost_axis(comparison: Comparison) -> tuple[str, str]:
    # on a processor others may slow a run, which its processor time does not feel
    if any(run.value("peak_cuda_memory_mb") for run in comparison.done):
        return "seconds", "wall time of a run, s"
    return "cpu_seconds", "processor time of a run, s"


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _say(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center")
    axes.set_axis_off()


def _picture(comparison: Comparison, panels: Sequence[Draw]) -> bytes:
    """Return panels side by side as PNG, with a legend that covers none of them."""
    from matplotlib import rc_context  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.lines import Line2D  # noqa: PLC0415

    with rc_context({**_RCPARAMS, "savefig.facecolor": "white"}):
        rows = max(1, len(comparison.cells))
        height = max(3.4, 0.32 * rows if draw_differences in panels else 0.0)
        figure = Figure(figsize=(4.6 * len(panels) + 1.6, height), layout="constrained")
        for number, draw in enumerate(panels):
            draw(figure.add_subplot(1, len(panels), number + 1), comparison)
        if draw_differences not in panels:
            colours = cell_colours(comparison)
            handles = [
                Line2D(
                    [],
                    [],
                    color=colours[cell.name],
                    linestyle=_LINES[number % len(_LINES)] if draw_loss in panels else "",
                    marker="" if draw_loss in panels else "o",
                    label=short_name(cell),
                )
                for number, cell in enumerate(comparison.cells)
            ]
            columns = -(-rows // _ROWS_A_LEGEND_COLUMN)
            figure.legend(
                handles=handles, loc="outside right upper", frameon=False, ncols=columns, fontsize=8
            )
        return _saved(figure, "png", dpi=150)


def _svg(comparison: Comparison, draw: Draw, name: str) -> str:
    from matplotlib import rc_context  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    # ids of elements come from the salt: they must differ between pictures of one page
    with rc_context({**_RCPARAMS, "svg.hashsalt": name}):
        compared = sum(cell.delta is not None for cell in comparison.cells)
        height = max(3.1, 0.7 + 0.34 * compared) if draw is draw_differences else 3.1
        figure = Figure(figsize=(4.8, height), layout="constrained")
        draw(figure.add_subplot(), comparison)
        text = _saved(figure, "svg", transparent=True, metadata={"Date": None}).decode()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    return re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1).replace(
        " height=", " data-height=", 1
    )


def _saved(figure: Any, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, **options)
    return stream.getvalue()
