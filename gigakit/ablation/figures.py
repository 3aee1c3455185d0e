"""Pictures of an ablation: curves, quality against cost, and differences to the baseline."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gigakit.ablation.comparison import Comparison
from gigakit.ablation.panels import (
    INK,
    LINES,
    cell_colours,
    draw_cost,
    draw_differences,
    draw_loss,
    draw_validation,
    short_name,
)
from gigakit.core.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# of the legend's text, to see how many names stand beside each other
_INCHES_A_CHARACTER, _INCHES_A_LINE = 0.07, 0.2
_FEW_ROWS = 10
_RCPARAMS: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#8888884d",
    "grid.linewidth": 0.6,
}
Draw = Callable[["Axes", Comparison], None]


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
    else:
        # of an earlier report
        (folder / "differences.png").unlink(missing_ok=True)
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
    return _compared(comparison) > 0


def is_wide(comparison: Comparison) -> bool:
    """Tell whether there are so many differences that their panel takes a page's whole width."""
    return _compared(comparison) > _FEW_ROWS


def _picture(comparison: Comparison, panels: Sequence[Draw]) -> bytes:
    """Return panels side by side as PNG, with a legend below that covers none of them."""
    from matplotlib import rc_context  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    width = 5.2 * len(panels)
    labels = [] if draw_differences in panels else _labels(comparison)
    longest = max(map(len, labels), default=0)
    columns = max(1, int(width / (_INCHES_A_CHARACTER * longest + 0.6)))
    lines = -(-len(labels) // columns)
    height = 3.4 + _INCHES_A_LINE * lines
    if draw_differences in panels:
        width, height = 7.0, _height(comparison)
    with rc_context({**_RCPARAMS, "savefig.facecolor": "white"}):
        figure = Figure(figsize=(width, height), layout="constrained")
        for number, draw in enumerate(panels):
            draw(figure.add_subplot(1, len(panels), number + 1), comparison)
        if labels:
            figure.legend(
                handles=_handles(comparison, labels, curves=draw_loss in panels),
                loc="outside lower left",
                frameon=False,
                ncols=columns,
                fontsize=8,
            )
        return _saved(figure, "png", dpi=150)


def _labels(comparison: Comparison) -> list[str]:
    return [short_name(cell).replace("\n", " · ") for cell in comparison.cells]


def _handles(comparison: Comparison, labels: Sequence[str], *, curves: bool) -> list[Any]:
    from matplotlib.lines import Line2D  # noqa: PLC0415

    colours = cell_colours(comparison)
    return [
        Line2D(
            [],
            [],
            color=colours[cell.name],
            linestyle=LINES[number % len(LINES)] if curves else "",
            marker="" if curves else "o",
            label=label,
        )
        for number, (cell, label) in enumerate(zip(comparison.cells, labels, strict=True))
    ]


def _compared(comparison: Comparison) -> int:
    return sum(cell.delta is not None for cell in comparison.cells)


def _height(comparison: Comparison) -> float:
    """Return the height of the panel of differences, in inches."""
    return max(3.1, 0.7 + 0.34 * _compared(comparison))


def _svg(comparison: Comparison, draw: Draw, name: str) -> str:
    from matplotlib import rc_context  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    size = (4.8, 3.1)
    if draw is draw_differences:
        size = (9.6 if is_wide(comparison) else 4.8, _height(comparison))
    # ids of elements come from the salt: they must differ between pictures of one page
    with rc_context({**_RCPARAMS, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.add_subplot(), comparison)
        text = _saved(figure, "svg", transparent=True, metadata={"Date": None}).decode()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    # the page decides on the size; the viewBox keeps the sides' ratio
    head, end, rest = text.partition(">")
    return re.sub(r' (?:width|height)="[^"]*"', "", head) + end + rest


def _saved(figure: Any, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, **options)
    return stream.getvalue()
