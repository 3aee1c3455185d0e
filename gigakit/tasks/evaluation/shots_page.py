"""Few-shot results side by side: a table and a curve."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gigakit.core.files import atomic_path, write_text
from gigakit.tasks.evaluation.card import Card, spread
from gigakit.tasks.evaluation.card_files import write_card
from gigakit.tasks.evaluation.card_page import plus_minus

_SHOWN = ("macro AUROC", "balanced accuracy")


def shots_table(cards: Mapping[int, Card]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return header and rows: a line for each number of shots."""
    header: tuple[str, ...] = ("patients a class", "fits", "test patients")
    for name in _SHOWN:
        header += (f"{name} (95 % interval)", "mean ± SD of fits")
    rows = []
    for shots, card in cards.items():
        row = [str(shots), str(len(card.folds)), str(len(card.evaluation.patients))]
        for name in _SHOWN:
            row += [str(card.scores[name]), plus_minus(*spread([f[name] for f in card.folds]))]
        rows.append(tuple(row))
    return header, rows


def write_shots(folder: Path, cards: Mapping[int, Card]) -> None:
    """Write ``shots.md``, ``shots.png`` and a card for each number, in ``shots-<number>``."""
    for shots, card in cards.items():
        write_card(folder / f"shots-{shots}", card)
    header, rows = shots_table(cards)
    lines = [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]
    first = next(iter(cards.values()))
    text = [
        f"# {first.evaluation.name}, few shots",
        "",
        f"In brackets: {first.meaning}; about test patients, not about the draws of training "
        "patients, which ± is about.",
        "",
        *lines,
        "",
        "![few shots](shots.png)",
    ]
    write_text(folder / "shots.md", "\n".join(text) + "\n")
    _draw(folder / "shots.png", cards)


def _draw(path: Path, cards: Mapping[int, Card]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(5.6, 4.2), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name in _SHOWN:
        found = [card.scores[name] for card in cards.values()]
        (line,) = axes.plot(list(cards), [one.value for one in found], marker="o", label=name)
        low, high = [one.low for one in found], [one.high for one in found]
        axes.fill_between(list(cards), low, high, color=line.get_color(), alpha=0.15)
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(cards), [str(shots) for shots in cards])
    axes.set(xlabel="training patients a class", ylabel="score", title="few shots, 95 % intervals")
    axes.legend(fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")
