"""The card as a page of text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gigakit.tasks.evaluation.calibration import BINS
from gigakit.tasks.evaluation.card import Card, counts, spread
from gigakit.tasks.evaluation.predictions import joined
from gigakit.tasks.evaluation.scores import headline

Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]
_SHOWN_IN_FOLDS = {
    "classification": ("macro AUROC", "balanced accuracy", "macro AUPRC"),
    "multi_label": ("macro AUROC", "micro AUROC", "macro AUPRC"),
    "regression": ("R2", "Pearson", "MAE"),
    "survival": ("C-index",),
}


def tables(card: Card) -> list[Table]:
    """Return what is shown: title, header and rows of each table."""
    names = _class_names(card)
    each = [name for name in card.scores if name.split(" ", 1)[-1] in names]
    shown: list[Table] = [
        ("scores", _HEADER, [_score_row(card, name) for name in card.scores if name not in each])
    ]
    if each:
        positives = _positives(card)
        rows = [(*_score_row(card, name), str(positives[name.split(" ", 1)[-1]])) for name in each]
        one = "one class against the rest" if card.evaluation.task.classes else "each label"
        shown.append((one, (*_HEADER, f"positive {card.evaluation.unit}s"), rows))
    shown.append(_fold_table(card))
    return shown


def page(card: Card, pictures: Mapping[str, str]) -> str:
    """Return ``card.md``.

    Args:
        card: the numbers.
        pictures: files by name, beside it.
    """
    found = card.evaluation
    best = headline(found.task)
    lines = [
        f"# {found.name}",
        "",
        f"**{best} {card.scores[best]}**",
        "",
        f"- task: {found.task}",
        f"- of: {card.scope}",
        f"- in brackets: {card.meaning}",
        "- ±: standard deviation over folds, whose training sets overlap: no interval",
        f"- the value {_basis(card)}",
    ]
    if found.task.kind in ("classification", "multi_label"):
        lines.append(
            f"- ECE: {BINS} bins of equal width; Brier: squared errors summed over "
            f"{'classes' if found.task.classes else 'nothing: of a label, mean over labels'}"
        )
    lines += [f"- {name}: {value}" for name, value in card.facts.items() if _is_short(value)]
    lines += [f"- note: {note}" for note in card.notes]
    for title, header, rows in tables(card):
        lines += ["", f"## {title[0].upper()}{title[1:]}", "", _line(header)]
        lines += [_line(["---"] * len(header)), *(_line(row) for row in rows)]
    for title, name in pictures.items():
        lines += ["", f"![{title}]({name})"]
    return "\n".join(lines) + "\n"


_HEADER = ("score", "value (95 % interval)", "mean ± SD of folds",
    "folds together", "draws without", "patients",
           "slides", "folds")  # fmt: skip


def _score_row(card: Card, name: str) -> tuple[str, ...]:
    score, found = card.scores[name], card.evaluation
    mean, deviation = spread([fold[name] for fold in card.folds])
    return (
        name,
        str(score),
        plus_minus(mean, deviation),
        f"{card.pooled[name]:.3f}",
        str(score.undefined),
        str(len(found.patients)),
        str(found.slides),
        str(len(found.folds)),
    )


def _fold_table(card: Card) -> Table:
    found = card.evaluation
    columns = _SHOWN_IN_FOLDS[found.task.kind]
    told = list(dict.fromkeys(name for fold in found.folds for name in fold.facts))
    header = ("fold", "round", "test patients", "test slides", *columns, *told)
    rows = []
    for fold, values in zip(found.folds, card.folds, strict=True):
        numbers = (f"{values[name]:.3f}" for name in columns)
        facts = (_text(fold.facts.get(name, "")) for name in told)
        own = (str(value) for value in counts(fold).values())
        rows.append((fold.name, str(fold.round), *own, *numbers, *facts))
    return ("folds", tuple(name.replace("_", " ") for name in header), rows)


def _basis(card: Card) -> str:
    found = card.evaluation
    if found.task.kind == "survival":
        return "is the mean over folds, since risks of two models have no common scale"
    if found.task.kind == "regression" or found.areas == "pooled":
        return "is of all folds of a round together"
    return (
        "of areas is the mean over folds, since models of two folds need not be on one scale; of "
        "other scores it is of all folds of a round together"
    )


def plus_minus(mean: float, deviation: float) -> str:
    """Return a mean with its deviation, where there is one."""
    return f"{mean:.3f}" + ("" if math.isnan(deviation) else f" ± {deviation:.3f}")


def _class_names(card: Card) -> tuple[str, ...]:
    task = card.evaluation.task
    if task.kind == "classification":
        return task.classes
    return task.labels if task.kind == "multi_label" else ()


def _positives(card: Card) -> dict[str, int]:
    """Return how many different units are positive, by class or label."""
    found = joined([card.evaluation.of_unit(fold) for fold in card.evaluation.folds])
    _, first = np.unique(found.slides, return_index=True)
    targets, task = found.targets[first], found.task
    if task.kind == "classification":
        return {name: int((targets[:, 0] == i).sum()) for i, name in enumerate(task.classes)}
    return {name: int((targets[:, i] == 1).sum()) for i, name in enumerate(task.labels)}


def _is_short(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
