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

_ROWS_A_LEGEND_COLUMN = 14
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
                    linestyle=LINES[number % len(LINES)] if draw_loss in panels else "",
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
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    return re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1).replace(
        " height=", " data-height=", 1
    )


def _saved(figure: Any, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, **options)
    return stream.getvalue()
