"""Scores of predictions, with intervals over cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NAMES = ("accuracy", "balanced accuracy", "macro AUROC")


@dataclass(frozen=True)
class Score:
    """A score and its interval.

    Args:
        value: of all test tiles.
        low: 95 % interval, from a bootstrap over cases.
        high: its upper end.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


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
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, Score]:
    """Return the scores with 95 % intervals: percentiles over draws of whole cases.

    Tiles of a case are alike, so cases are what varies between samples.
    """
    whole = scores(labels, probabilities)
    drawn = [
        scores(labels[tiles], probabilities[tiles])
        for tiles in _draws(cases, draws=draws, seed=seed)
    ]
    return {name: _interval(value, [d[name] for d in drawn]) for name, value in whole.items()}


def differences(
    labels: np.ndarray,
    one: np.ndarray,
    other: np.ndarray,
    cases: np.ndarray,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, Score]:
    """Return the scores of ``one`` minus those of ``other``, over the same draws of cases."""
    first, second = scores(labels, one), scores(labels, other)
    drawn = []
    for tiles in _draws(cases, draws=draws, seed=seed):
        a, b = scores(labels[tiles], one[tiles]), scores(labels[tiles], other[tiles])
        drawn.append({name: a[name] - b[name] for name in NAMES})
    return {name: _interval(first[name] - second[name], [d[name] for d in drawn]) for name in NAMES}


def _area(positive: np.ndarray, values: np.ndarray) -> float:
    """Return the area under the ROC curve, ties counted half, by ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    # the mean rank of each group of equal values, from 1
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    ones, zeros = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _draws(cases: np.ndarray, *, draws: int, seed: int) -> list[np.ndarray]:
    names = np.unique(cases)
    tiles_of = [np.flatnonzero(cases == name) for name in names]
    generator = np.random.default_rng(seed)
    return [
        np.concatenate([tiles_of[i] for i in generator.integers(len(names), size=len(names))])
        for _ in range(draws)
    ]


def _interval(value: float, drawn: list[float]) -> Score:
    low, high = np.nanpercentile(drawn, [2.5, 97.5]).tolist()
    return Score(value, low, high)
