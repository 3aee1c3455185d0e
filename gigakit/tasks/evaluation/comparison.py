"""Paired comparison of two evaluations: the same draws of the same patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.tasks.evaluation.bootstrap import DRAWS, Score, interval
from gigakit.tasks.evaluation.evaluation import Evaluation, drawn_scores, whole_scores
from gigakit.tasks.evaluation.scores import LOWER_IS_BETTER


@dataclass(frozen=True)
class Difference:
    """One score of two models.

    Args:
        one: of the first.
        other: of the second.
        gap: first minus second, with the interval over paired draws.
        better: share of the draws in which the first is better, ties counted half.
    """

    one: float
    other: float
    gap: Score
    better: float


@dataclass(frozen=True)
class Comparison:
    """Two models on the patients that both were tested on.

    Args:
        one: name of the first.
        other: name of the second.
        patients: how many patients both tested.
        differences: by the score's name.
        notes: what a reader must know, such as patients that one of them lacks.
    """

    one: str
    other: str
    patients: int
    differences: dict[str, Difference]
    notes: tuple[str, ...]


def compare(one: Evaluation, other: Evaluation, *, draws: int = DRAWS, seed: int = 0) -> Comparison:
    """Compare two evaluations of one task on the patients that both tested.

    Args:
        one: the first.
        other: the second, of the same task and unit.
        draws: of whole patients.
        seed: of the draws.

    Raises:
        ConfigError: tasks, units or labels differ, or no patient is tested by both.
    """
    kinds = [f"{card.task} by {card.unit}, areas by {card.areas}" for card in (one, other)]
    if kinds[0] != kinds[1]:
        raise ConfigError(
            f"{one.name} is of {kinds[0]}; {other.name} of {kinds[1]}",
            where="compare",
            fix="compare cards of one task",
        )
    common = np.intersect1d(one.patients, other.patients)
    if not len(common):
        raise ConfigError(f"{one.name} and {other.name} share no patient", where="compare")
    notes = [
        f"{len(own.patients) - len(common)} patients of {own.name} are not in the other: left out"
        for own in (one, other)
        if len(own.patients) > len(common)
    ]
    first, second = one.within(common), other.within(common)
    _refuse_other_labels(first, second)
    if _parts(first) != _parts(second):
        notes.append(
            "the two were not trained on the same folds: part of the difference is that of folds"
        )
    values = whole_scores(first), whole_scores(second)
    drawn = [drawn_scores(found, draws=draws, seed=seed) for found in (first, second)]
    differences = {}
    for name in values[0]:
        gaps = drawn[0][name] - drawn[1][name]
        defined = gaps[~np.isnan(gaps)] * (-1 if name in LOWER_IS_BETTER else 1)
        better = float(((defined > 0) + 0.5 * (defined == 0)).mean()) if len(defined) else np.nan
        differences[name] = Difference(
            values[0][name],
            values[1][name],
            interval(values[0][name] - values[1][name], gaps),
            better,
        )
    return Comparison(one.name, other.name, len(common), differences, tuple(notes))


def _parts(evaluation: Evaluation) -> set[tuple[str, ...]]:
    return {tuple(np.unique(fold.predictions.patients).tolist()) for fold in evaluation.folds}


def _refuse_other_labels(one: Evaluation, other: Evaluation) -> None:
    known: dict[str, np.ndarray] = {}
    for evaluation in (one, other):
        for fold in evaluation.folds:
            found = fold.predictions
            for slide, target in zip(found.slides.tolist(), found.targets, strict=True):
                # tables write numbers to a few digits
                if not np.allclose(known.setdefault(slide, target), target, equal_nan=True):
                    raise ConfigError(
                        f"the label of {slide} differs between {one.name} and {other.name}",
                        where="compare",
                        fix="evaluate both with one table",
                    )
