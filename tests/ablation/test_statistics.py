"""Intervals of few seeds, against scipy, and how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest

from gigakit.ablation.statistics import bootstrap, paired, spread, t_quantile


def test_the_spread_of_seeds_is_the_sample_deviation():
    found = spread([1.0, 2.0, 4.0])
    assert (found.mean, found.n) == (pytest.approx(7 / 3), 3)
    assert found.sd == pytest.approx(np.std([1.0, 2.0, 4.0], ddof=1))
    assert spread([1.0]).sd is None
    assert spread([]) is None


def test_quantiles_of_student_are_scipys():
    stats = pytest.importorskip("scipy.stats")
    for freedom in (1, 2, 3, 4, 9, 10, 29, 100):
        for probability in (0.9, 0.975):
            expected = stats.t.ppf(probability, freedom)
            assert t_quantile(freedom, probability) == pytest.approx(expected, rel=1e-10)


def test_differences_are_paired_by_seed():
    found = paired({0: 1.0, 1: 2.0, 2: 3.0, 7: 100.0}, {2: 0.5, 0: 0.9, 1: 1.7, 8: -100.0})
    assert found.n == 3
    assert found.mean == pytest.approx((0.1 + 0.3 + 2.5) / 3)
    assert found.bootstrap == pytest.approx((0.1, 2.5))
    stats = pytest.importorskip("scipy.stats")
    expected = stats.ttest_rel([1.0, 2.0, 3.0], [0.9, 1.7, 0.5]).confidence_interval(0.95)
    assert found.student == pytest.approx(tuple(expected))


def test_under_three_pairs_there_is_no_interval():
    found = paired({0: 1.0, 1: 2.0}, {0: 0.0, 1: 0.0})
    assert (found.mean, found.n, found.bootstrap, found.student) == (1.5, 2, None, None)
    assert paired({0: 1.0}, {1: 1.0}) is None


def test_the_bootstrap_is_scipys():
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(1).normal(size=12)
    expected = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000,
        rng=np.random.default_rng(2), vectorized=True,
    ).confidence_interval  # fmt: skip
    assert bootstrap(values) == pytest.approx(tuple(expected), abs=0.03)
    assert bootstrap(values) == bootstrap(values)


def test_all_draws_of_few_values_are_listed():
    values = [0.3, -1.0, 2.0, 0.7]
    generator = np.random.default_rng(0)
    drawn = np.array(values)[generator.integers(4, size=(400_000, 4))].mean(axis=1)
    expected = np.quantile(drawn, [0.025, 0.975], method="inverted_cdf")
    assert bootstrap(values) == pytest.approx(tuple(expected))


def test_how_often_intervals_of_three_pairs_hold_the_truth():
    generator = np.random.default_rng(0)
    draws = generator.normal(size=(2000, 3))
    found = [paired(dict(enumerate(row)), dict.fromkeys(range(3), 0.0)) for row in draws]
    # what the report says of both
    assert np.mean([p.bootstrap[0] <= 0 <= p.bootstrap[1] for p in found]) == pytest.approx(
        0.75, abs=0.03
    )
    assert np.mean([p.student[0] <= 0 <= p.student[1] for p in found]) == pytest.approx(
        0.95, abs=0.015
    )
