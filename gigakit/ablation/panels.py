"""Panels of an ablation's pictures: curves, quality against cost, differences to the baseline."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gigakit.ablation.comparison import ComparedCell, Comparison, values_by_seed
from gigakit.ablation.measures import LOSS, Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# stands for the page's own colour of text, so that a picture follows its light or dark scheme
INK = "#010203"
LINES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
_FEW, _MORE = 10, 20
# a curve that spans more is drawn on a logarithmic axis
_WIDE_RATIO = 50.0


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
        axes.plot(*zip(*line, strict=True), color=INK, linewidth=0.9, linestyle=":", zorder=1)
    for cell_name in front:
        axes.plot(*points[cell_name], "o", markersize=12, markerfacecolor="none", color=INK)
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
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(compared)), [short_name(cell) for cell in compared])
    axes.set_ylim(len(compared) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.set(
        title="difference to the baseline",
        xlabel=f"Δ {comparison.metric.title}",
    )


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


def short_name(cell: ComparedCell) -> str:
    """Return a cell's labels, a line for each two; the axis too where a label is a number."""
    labels = [
        f"{axis}={label}" if label[:1] in "-.0123456789" else label
        for axis, label in cell.labels.items()
    ]
    pairs = [" · ".join(labels[k : k + 2]) for k in range(0, len(labels), 2)]
    return "\n".join(pairs)


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


def _is_whole(cell: ComparedCell, points: Mapping[str, tuple[float, float]]) -> bool:
    return cell.name in points and len(cell.done) == len(cell.runs)


def _draw_interval(axes: Axes, row: int, cell: ComparedCell, colour: str) -> None:
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
        # the mean of some seeds does not compare with that of all
        mean = _mean_curve(curves) if len(curves) == len(cell.runs) else []
        if mean:
            marker = "o" if len(mean) < _FEW else ""
            axes.plot(
                *zip(*mean, strict=True),
                color=colours[cell.name],
                linewidth=1.8,
                # cells that come to the same stay visible on each other
                linestyle=LINES[number % len(LINES)],
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
