"""The uncertainty of an ablation's numbers: spread over seeds, and differences paired by seed."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LEAST_PAIRS = 3
# of so few differences all draws with replacement are listed, instead of drawing some: 5^5 = 3125
_MOST_LISTED = 5
_DRAWS = 10_000
_LEVEL = 0.95


@dataclass(frozen=True)
class Spread:
    """A number over the seeds of one cell.

    Args:
        mean: of the seeds.
        sd: sample standard deviation (n - 1); ``None`` of one seed.
        n: seeds.
    """

    mean: float
    sd: float | None
    n: int


@dataclass(frozen=True)
class Paired:
    """A cell minus the baseline, each seed with the same seed.

    Args:
        mean: of the differences.
        n: pairs.
        bootstrap: percentile bootstrap interval of the mean; ``None`` under three pairs.
        student: Student's t interval of the mean; ``None`` under three pairs.
    """

    mean: float
    n: int
    bootstrap: tuple[float, float] | None = None
    student: tuple[float, float] | None = None


def spread(values: Sequence[float]) -> Spread | None:
    """Return mean and standard deviation; ``None`` of no values."""
    if not values:
        return None
    sd = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), sd, len(values))


def paired(cell: Mapping[int, float], baseline: Mapping[int, float]) -> Paired | None:
    """Compare a cell with the baseline over the seeds that both have.

    Seeds share weights' initialisation, data order and masks as far as the cells allow, so that
    differences within a seed vary less than the cells do. Two 95 % intervals are given, since
    neither is right of few seeds: the bootstrap assumes no distribution, but of three pairs it is
    exactly their range, which holds the true mean three times in four if differences are
    symmetric; Student's t is right for normal differences at any n.

    Args:
        cell: value by seed.
        baseline: value by seed.

    Returns:
        ``None`` without a common seed.
    """
    differences = [cell[seed] - baseline[seed] for seed in sorted(cell) if seed in baseline]
    if not differences:
        return None
    mean, n = statistics.fmean(differences), len(differences)
    if n < LEAST_PAIRS:
        return Paired(mean, n)
    half = t_quantile(n - 1, (1 + _LEVEL) / 2) * statistics.stdev(differences) / math.sqrt(n)
    return Paired(mean, n, bootstrap(differences), (mean - half, mean + half))


def bootstrap(values: Sequence[float], *, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean over draws with replacement.

    Up to five values every draw is listed, so that nothing is random; else 10,000 are made.

    Args:
        values: differences.
        seed: of the draws.
    """
    array = np.asarray(values, dtype=np.float64)
    count = len(array)
    if count <= _MOST_LISTED:
        chosen = np.array(list(itertools.product(range(count), repeat=count)))
    else:
        chosen = np.random.default_rng(seed).integers(count, size=(_DRAWS, count))
    means = array[chosen].mean(axis=1)
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(means, [tail, 1 - tail], method="inverted_cdf").tolist()
    return low, high


def t_quantile(freedom: int, probability: float) -> float:
    """Return the quantile of Student's t by bisection of its distribution.

    Args:
        freedom: degrees of freedom, at least 1.
        probability: over 0.5.
    """
    low, high = 0.0, 1.0
    while _t_distribution(high, freedom) < probability:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        below = _t_distribution(middle, freedom) < probability
        low, high = (middle, high) if below else (low, middle)
    return (low + high) / 2


def _t_distribution(t: float, freedom: int) -> float:
    """Return P(T <= t), which is a finite series in the angle where freedom is a whole number.

    Source: Abramowitz and Stegun, 26.7.3 and 26.7.4.
    """
    angle = math.atan(t / math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for k in range(2 + odd, freedom, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    area = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return (1 + area) / 2
