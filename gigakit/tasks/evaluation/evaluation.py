"""Folds' predictions of the test patients, and what they amount to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.data.slide_labels import Task
from gigakit.tasks.evaluation.bootstrap import DRAWS, Score, drawn_counts, interval
from gigakit.tasks.evaluation.draw_scores import draw_scores
from gigakit.tasks.evaluation.predictions import Predictions, by_patient, joined
from gigakit.tasks.evaluation.scores import scores_of

Unit = Literal["patient", "slide"]
Areas = Literal["folds", "pooled"]
# numbers of one draw times rows that are looked at together
_BLOCK = 2**22


@dataclass(frozen=True)
class FoldResult:
    """The test predictions of one fold.

    Args:
        name: of the split.
        round: folds of one round test no patient twice.
        predictions: of the test part, a row a slide.
        facts: what else is known, such as the numbers of patients and the chosen settings.
    """

    name: str
    round: int
    predictions: Predictions
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """All folds of one model on one task.

    Args:
        name: what was evaluated.
        folds: at least one.
        unit: what a score counts: patients (the mean of a patient's slides) or slides.
        areas: areas under curves are of each fold by itself, and their mean is taken; or of all
            folds of a round together, whose models' predictions need not be on one scale. The index
            of survival is always of each fold: risks of two models have no common scale.

    Raises:
        ConfigError: no folds, or a fold that tests nothing.
    """

    name: str
    folds: tuple[FoldResult, ...]
    unit: Unit = "patient"
    areas: Areas = "folds"

    def __post_init__(self) -> None:
        if not self.folds:
            raise ConfigError("no fold is finished", where=self.name)
        for fold in self.folds:
            if not len(fold.predictions):
                raise ConfigError(f"{fold.name} tests no slide", where=self.name)

    @property
    def task(self) -> Task:
        """What was asked."""
        return self.folds[0].predictions.task

    @property
    def patients(self) -> np.ndarray:
        """Names of all tested patients, sorted."""
        return np.unique(np.concatenate([fold.predictions.patients for fold in self.folds]))

    @property
    def slides(self) -> int:
        """Number of tested slides."""
        return len(np.unique(np.concatenate([fold.predictions.slides for fold in self.folds])))

    @property
    def rounds(self) -> int:
        """How many times all folds were gone through."""
        return len({fold.round for fold in self.folds})

    def of_unit(self, fold: FoldResult) -> Predictions:
        """Return a fold's predictions, a row for each patient or slide."""
        found = fold.predictions
        return by_patient(found) if self.unit == "patient" else found

    def whole_rounds(self) -> list[Predictions]:
        """Return the predictions of each round, its folds together."""
        rounds = sorted({fold.round for fold in self.folds})
        return [
            joined([self.of_unit(fold) for fold in self.folds if fold.round == number])
            for number in rounds
        ]

    def within(self, patients: np.ndarray) -> Evaluation:
        """Return the same for some patients alone; folds that test none of them fall out."""
        kept = []
        for fold in self.folds:
            rows = np.isin(fold.predictions.patients, patients)
            if rows.any():
                found = fold.predictions.select(rows)
                kept.append(FoldResult(fold.name, fold.round, found, fold.facts))
        return dataclasses.replace(self, folds=tuple(kept))

    def is_of_folds(self, score: str) -> bool:
        """Tell whether a score is the mean over folds, not of whole rounds."""
        ranks = "AUROC" in score or "AUPRC" in score
        return score == "C-index" or (ranks and self.areas == "folds")


def fold_scores(evaluation: Evaluation) -> list[dict[str, float]]:
    """Return the scores of each fold by itself."""
    return [_scores(evaluation.of_unit(fold)) for fold in evaluation.folds]


def pooled_scores(evaluation: Evaluation) -> dict[str, float]:
    """Return the scores of whole rounds, the mean over the rounds."""
    each = [_scores(found) for found in evaluation.whole_rounds()]
    return {name: _mean([one[name] for one in each]) for name in each[0]}


def whole_scores(evaluation: Evaluation) -> dict[str, float]:
    """Return the scores of all test data: means over folds for areas, over rounds for others."""
    pooled, each = pooled_scores(evaluation), fold_scores(evaluation)
    return {
        name: _mean([one[name] for one in each]) if evaluation.is_of_folds(name) else value
        for name, value in pooled.items()
    }


def drawn_scores(
    evaluation: Evaluation, *, draws: int = DRAWS, seed: int = 0
) -> dict[str, np.ndarray]:
    """Return the same scores of each draw of whole patients, ``(draws,)``.

    Folds in which a draw leaves an area undefined are left out of that draw's mean. A patient that
    is drawn twice counts twice in every round. The same patients and seed give the same draws,
    whatever the model: that is what pairs two of them.
    """
    names = evaluation.patients
    counts = drawn_counts(names, draws=draws, seed=seed)
    rounds = [_drawn(found, names, counts) for found in evaluation.whole_rounds()]
    folds = [_drawn(evaluation.of_unit(fold), names, counts) for fold in evaluation.folds]
    drawn = {}
    for name in rounds[0]:
        each = np.stack([one[name] for one in (folds if evaluation.is_of_folds(name) else rounds)])
        defined = ~np.isnan(each)
        with np.errstate(invalid="ignore"):
            drawn[name] = np.where(defined, each, 0.0).sum(axis=0) / defined.sum(axis=0)
    return drawn


def _drawn(found: Predictions, names: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Return the scores of each draw; ``counts`` ``(B, P)`` says how often it holds a patient."""
    columns = np.searchsorted(names, found.patients)
    step = max(1, _BLOCK // max(1, len(found)))
    blocks = [
        draw_scores(found.task, found.targets, found.outputs, block[:, columns])
        for block in np.split(counts, range(step, len(counts), step))
    ]
    return {name: np.concatenate([b[name] for b in blocks]) for name in blocks[0]}


def scores_with_intervals(
    evaluation: Evaluation, *, draws: int = DRAWS, seed: int = 0
) -> dict[str, Score]:
    """Return each score with its 95 % interval over draws of whole patients."""
    drawn = drawn_scores(evaluation, draws=draws, seed=seed)
    return {name: interval(value, drawn[name]) for name, value in whole_scores(evaluation).items()}


def _scores(found: Predictions) -> dict[str, float]:
    return scores_of(found.task, found.targets, found.outputs)


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")
