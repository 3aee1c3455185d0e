"""The result card: what was measured, on whom, and how sure it is, as plain values."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from gigakit import __version__
from gigakit.tasks.evaluation.bootstrap import DRAWS, INTERVAL, Score
from gigakit.tasks.evaluation.calibration import BINS
from gigakit.tasks.evaluation.evaluation import (
    Evaluation,
    FoldResult,
    fold_scores,
    pooled_scores,
    scores_with_intervals,
)
from gigakit.tasks.evaluation.scores import headline


@dataclass(frozen=True)
class Card:
    """The numbers of one evaluation.

    Args:
        evaluation: the predictions.
        scores: with intervals, by name.
        folds: scores of each fold by itself.
        pooled: scores of whole rounds.
        draws: of whole patients, for the intervals.
        seed: of these draws.
        notes: what a reader must know.
        facts: seeds, settings, command, versions.
    """

    evaluation: Evaluation
    scores: dict[str, Score]
    folds: list[dict[str, float]]
    pooled: dict[str, float]
    draws: int
    seed: int
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def scope(self) -> str:
        """Return whom the numbers are of, in a line."""
        found = self.evaluation
        rounds = f" in {found.rounds} rounds" if found.rounds > 1 else ""
        return (
            f"{len(found.patients)} patients, {found.slides} slides, {counted(len(found.folds))}"
            f"{rounds}, scored by {found.unit}"
        )

    @property
    def meaning(self) -> str:
        """Return what an interval is, in a line."""
        return f"{INTERVAL} of {self.draws} draws of whole test patients, seed {self.seed}"


def counted(folds: int) -> str:
    """Return how many folds there are, in words."""
    return "1 fold" if folds == 1 else f"{folds} folds"


def make_card(
    evaluation: Evaluation,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    notes: Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
) -> Card:
    """Score an evaluation, in all and fold by fold.

    Args:
        evaluation: the predictions.
        draws: of whole patients.
        seed: of the draws.
        notes: what a reader must know.
        facts: what else is kept, such as seeds and the command.
    """
    scores = scores_with_intervals(evaluation, draws=draws, seed=seed)
    folds = fold_scores(evaluation)
    own = [*notes, *_doubts(evaluation, scores, folds, draws)]
    return Card(
        evaluation,
        scores,
        folds,
        pooled_scores(evaluation),
        draws,
        seed,
        tuple(own),
        dict(facts or {}),
    )


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard deviation (N - 1) of what is not NaN; NaN where there is none."""
    defined = [value for value in values if not math.isnan(value)]
    mean = statistics.fmean(defined) if defined else math.nan
    return mean, statistics.stdev(defined) if len(defined) > 1 else math.nan


def as_json(card: Card) -> dict[str, Any]:
    """Return everything as plain values; what is not a number is ``None``.

    Each score says of how many patients, slides, folds and rounds it is, and what its interval is.
    """
    found = card.evaluation
    scope = {
        "patients": len(found.patients),
        "slides": found.slides,
        "folds": len(found.folds),
        "rounds": found.rounds,
        "unit": found.unit,
        "interval": card.meaning,
    }
    scores = {}
    for name, score in card.scores.items():
        mean, deviation = spread([fold[name] for fold in card.folds])
        own = {
            **asdict(score),
            "mean_of_folds": mean,
            "sd_of_folds": deviation,
            "pooled": card.pooled[name],
        }
        basis = "mean of folds" if found.is_of_folds(name) else "pooled"
        scores[name] = {**_plain(own), "value_is": basis, **scope}
    return {
        "gigakit": __version__,
        "name": found.name,
        "task": asdict(found.task),
        "headline": headline(found.task),
        "areas": found.areas,
        "scores": scores,
        "calibration_bins": BINS,
        "folds": [
            {
                "name": fold.name,
                "round": fold.round,
                "scores": _plain(values),
                **counts(fold),
                **fold.facts,
            }
            for fold, values in zip(found.folds, card.folds, strict=True)
        ],
        "notes": list(card.notes),
        **card.facts,
    }


def counts(fold: FoldResult) -> dict[str, int]:
    """Return how many patients and slides a fold tests."""
    found = fold.predictions
    return {
        "test_patients": len(np.unique(found.patients)),
        "test_slides": len(np.unique(found.slides)),
    }


def _doubts(
    evaluation: Evaluation,
    scores: Mapping[str, Score],
    folds: Sequence[Mapping[str, float]],
    draws: int,
) -> list[str]:
    """Return what makes numbers weak: draws without a class, folds that do not compare."""
    notes = []
    undefined = {name: score.undefined for name, score in scores.items() if score.undefined}
    if undefined:
        worst = max(undefined, key=lambda name: undefined[name])
        notes.append(
            f"{len(undefined)} scores are not defined in some of the {draws} draws, which hold one "
            f"class or no pair; most often {worst}, in {undefined[worst]}; they are left out"
        )
    best = headline(evaluation.task)
    without = sum(math.isnan(fold[best]) for fold in folds)
    if without:
        notes.append(
            f"{best} is not defined in {without} of {len(folds)} folds, whose test part is too "
            "small: fewer folds, or --areas pooled"
        )
    if evaluation.areas == "pooled" and evaluation.rounds < len(evaluation.folds):
        notes.append(
            "areas rank predictions of different folds' models together, which need not be on one "
            "scale"
        )
    if evaluation.rounds > 1:
        notes.append(
            "rounds test the same patients again: scores are their mean, and the interval is about "
            "patients, not about rounds"
        )
    return notes


def _plain(values: Mapping[str, float]) -> dict[str, float | int | None]:
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
