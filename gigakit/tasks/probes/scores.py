"""Scores of predictions, with intervals over cases."""

from __future__ import annotations

import numpy as np

from gigakit.tasks.evaluation.bootstrap import DRAWS, Score, bootstrap

NAMES = ("accuracy", "balanced accuracy", "macro AUROC")


def scores(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Return accuracy, balanced accuracy and macro AUROC (one class against the rest).

    Classes without a tile, or with all of them, do not count.

    Args:
        labels: ``(M,)`` int.
        probabilities: ``(M, C)``, or votes.
    """
    predicted = probabilities.argmax(axis=1)
    present = np.unique(labels)
    recalls = [float((predicted[labels == c] == c).mean()) for c in present]
    areas = [
        _area(labels == c, probabilities[:, c]) for c in present if 0 < (labels == c).mean() < 1
    ]
    return {
        "accuracy": float((predicted == labels).mean()),
        "balanced accuracy": float(np.mean(recalls)),
        "macro AUROC": float(np.mean(areas)) if areas else float("nan"),
    }


def scores_with_intervals(
    labels: np.ndarray,
    probabilities: np.ndarray,
    cases: np.ndarray,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Score]:
    """Return the scores with 95 % intervals: percentiles over draws of whole cases.

    Tiles of a case are alike, so cases are what varies between samples.
    """
    return bootstrap(
        lambda rows: scores(labels[rows], probabilities[rows]), cases, draws=draws, seed=seed
    )


def differences(
    labels: np.ndarray,
    one: np.ndarray,
    other: np.ndarray,
    cases: np.ndarray,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Score]:
    """Return the scores of ``one`` minus those of ``other``, over the same draws of cases."""

    def gaps(rows: np.ndarray) -> dict[str, float]:
        first, second = (scores(labels[rows], votes[rows]) for votes in (one, other))
        return {name: first[name] - second[name] for name in NAMES}

    return bootstrap(gaps, cases, draws=draws, seed=seed)


def _area(positive: np.ndarray, values: np.ndarray) -> float:
    """Return the area under the ROC curve, ties counted half, by ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    # the mean rank of each group of equal values, from 1
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    ones, zeros = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))
