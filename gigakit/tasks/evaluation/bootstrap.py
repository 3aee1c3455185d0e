"""Intervals over draws of whole patients: what varies between samples is patients, not slides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

DRAWS = 1000
PERCENTILES = (2.5, 97.5)
INTERVAL = "95 % interval: percentiles 2.5 and 97.5"


@dataclass(frozen=True)
class Score:
    """A score and its interval.

    Args:
        value: of all test data.
        low: 95 % interval, from a bootstrap over patients or cases.
        high: its upper end.
        undefined: draws in which the score is not defined, such as an area where one class was
            drawn; the interval leaves them out.
    """

    value: float
    low: float
    high: float
    undefined: int = 0

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def drawn_rows(groups: np.ndarray, *, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Yield the rows of each draw: as many groups as there are, with replacement, each whole.

    Args:
        groups: ``(N,)``, the patient or case of each row.
        draws: how many.
        seed: of the draws; the same groups and seed give the same draws.
    """
    names, index = np.unique(groups, return_inverse=True)
    order = np.argsort(index, kind="stable")
    rows_of = np.split(order, np.cumsum(np.bincount(index))[:-1])
    for drawn in _drawn_groups(len(names), draws=draws, seed=seed):
        yield np.concatenate([rows_of[number] for number in drawn])


def drawn_counts(groups: np.ndarray, *, draws: int, seed: int) -> np.ndarray:
    """Return how often each row is in each draw of :func:`drawn_rows`, ``(draws, N)`` float64."""
    names, index = np.unique(groups, return_inverse=True)
    counts = np.stack(
        [
            np.bincount(drawn, minlength=len(names))
            for drawn in _drawn_groups(len(names), draws=draws, seed=seed)
        ]
    )
    return counts[:, index].astype(np.float64)


def _drawn_groups(groups: int, *, draws: int, seed: int) -> Iterator[np.ndarray]:
    generator = np.random.default_rng(seed)
    for _ in range(draws):
        yield generator.integers(groups, size=groups)


def bootstrap(
    scores_of: Callable[[np.ndarray], Mapping[str, float]],
    groups: np.ndarray,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Score]:
    """Return scores with 95 % intervals: percentiles over draws of whole groups.

    Args:
        scores_of: scores of some rows, by name; NaN where one is not defined.
        groups: ``(N,)``, the patient or case of each row.
        draws: how many.
        seed: of the draws.
    """
    whole = scores_of(np.arange(len(groups)))
    drawn = [scores_of(rows) for rows in drawn_rows(groups, draws=draws, seed=seed)]
    return {
        name: interval(value, np.array([one[name] for one in drawn]))
        for name, value in whole.items()
    }


def interval(value: float, drawn: np.ndarray) -> Score:
    """Return a value with the percentiles of its draws ``(B,)``; NaN ones are counted apart."""
    defined = drawn[~np.isnan(drawn)]
    if not len(defined):
        return Score(value, float("nan"), float("nan"), len(drawn))
    low, high = np.percentile(defined, PERCENTILES).tolist()
    return Score(value, low, high, len(drawn) - len(defined))
