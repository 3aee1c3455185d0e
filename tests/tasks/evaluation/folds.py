"""Evaluations with drawn predictions, for tests."""

from __future__ import annotations

import numpy as np
from tasks.evaluation.cohort import cohort

from gigakit.data.slide_labels import Task
from gigakit.tasks.evaluation.evaluation import Evaluation, FoldResult
from gigakit.tasks.evaluation.predictions import Predictions
from gigakit.tasks.evaluation.splits import cross_validation, rounds_of


def guesses(data, strength, seed):
    """Return predictions whose worth grows with ``strength``."""
    generator = np.random.default_rng(seed)
    if data.task.kind == "classification":
        truth = np.eye(len(data.task.classes))[data.targets[:, 0].astype(int)]
        votes = np.exp(strength * truth + generator.normal(size=truth.shape))
        return votes / votes.sum(axis=1, keepdims=True)
    if data.task.kind == "multi_label":
        noise = generator.normal(size=data.targets.shape)
        return 1 / (1 + np.exp(-(strength * (np.nan_to_num(data.targets) - 0.5) + noise)))
    sign = -1 if data.task.kind == "survival" else 1
    noise = generator.normal(size=(len(data.slides), 1)) * data.targets[:, 0].std()
    return sign * data.targets[:, :1] + noise / strength


def evaluation(data=None, *, name="mine", strength=1.5, folds=5, repeats=1, seed=0, unit="patient"):
    """Return an evaluation over the folds of a cross-validation."""
    data = data if data is not None else cohort()
    splits = cross_validation(data, folds, repeats=repeats)
    tested = []
    for number, (split, turn) in enumerate(zip(splits, rounds_of(data, splits), strict=True)):
        outputs = guesses(data, strength, [seed, number])
        found = Predictions(
            data.task, data.slides, data.patients, split.parts, data.targets, outputs
        )
        facts = {"seed": number, "strength": strength}
        tested.append(FoldResult(split.name, turn, found.part("test"), facts))
    return Evaluation(name, tuple(tested), unit)


def cohorts():
    """Return a cohort of each kind of task."""
    generator = np.random.default_rng(1)
    days = np.stack([generator.exponential(300, 60).round() + 1, np.arange(60) % 3 > 0], axis=1)
    genes = (generator.random((60, 3)) < (0.5, 0.4, 0.3)).astype(float)
    genes[::9, 1] = np.nan
    return {
        "classification": cohort(),
        "multi_label": cohort(targets=genes, task=Task("multi_label", ("EGFR", "KRAS", "TP53"))),
        "regression": cohort(
            targets=generator.normal(60, 9, (60, 1)), task=Task("regression", ("age",))
        ),
        "survival": cohort(targets=days.astype(float), task=Task("survival", ("time", "event"))),
    }
