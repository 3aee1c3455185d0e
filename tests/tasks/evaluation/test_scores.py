"""Scores: those of many draws equal scikit-learn's and lifelines' of each; what is not defined."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from gigakit.data.slide_labels import Task
from gigakit.tasks.evaluation.bootstrap import bootstrap, drawn_counts, drawn_rows, interval
from gigakit.tasks.evaluation.calibration import brier, calibration_error, reliability
from gigakit.tasks.evaluation.draw_scores import draw_scores
from gigakit.tasks.evaluation.scores import scores_of

GRADES = Task("classification", ("isup",), ("0", "1", "2", "3"))
GENES = Task("multi_label", ("EGFR", "KRAS", "TP53"))
AGE = Task("regression", ("age",))
DEATH = Task("survival", ("days", "death"))


def predicted(task, rows=60, seed=0):
    """Return targets and outputs with ties, unknown labels and a rare class."""
    generator = np.random.default_rng(seed)
    if task is GRADES:
        labels = np.minimum(generator.integers(0, 9, rows) // 2, 3)
        labels[labels == 3] = np.where(generator.random((labels == 3).sum()) < 0.3, 3, 0)
        votes = np.round(generator.random((rows, 4)) + 0.4 * np.eye(4)[labels], 1) + 0.05
        return labels[:, None].astype(float), votes / votes.sum(axis=1, keepdims=True)
    if task is GENES:
        truth = (generator.random((rows, 3)) < (0.5, 0.3, 0.08)).astype(float)
        outputs = np.clip(np.round(0.3 * truth + 0.6 * generator.random((rows, 3)), 1), 0, 1)
        truth[generator.random((rows, 3)) < 0.1] = np.nan
        return truth, outputs
    if task is AGE:
        truth = generator.normal(60, 10, (rows, 1))
        return truth, truth + generator.normal(0, 8, (rows, 1))
    times = np.round(generator.exponential(10, rows)) + 1
    event = (generator.random(rows) < 0.6).astype(float)
    return np.stack([times, event], axis=1), np.round(-times + generator.normal(0, 8, rows))[
        :, None
    ]


@pytest.mark.parametrize("task", [GRADES, GENES, AGE, DEATH], ids=lambda task: task.kind)
def test_scores_of_many_draws_are_the_libraries_of_each(task):
    targets, outputs = predicted(task)
    patients = np.arange(60) // 2
    counts = drawn_counts(patients, draws=25, seed=1)
    found = draw_scores(task, targets, outputs, counts)
    for draw, rows in enumerate(drawn_rows(patients, draws=25, seed=1)):
        assert np.bincount(rows, minlength=60).tolist() == counts[draw].tolist()
        expected = scores_of(task, targets[rows], outputs[rows])
        assert list(expected) == list(found)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name][draw], value, atol=1e-9, err_msg=name)


@pytest.mark.parametrize(
    ("task", "chosen"), [(GRADES, [0, 0]), (GENES, [0]), (AGE, [3, 3]), (DEATH, [5, 5])],
    ids=lambda one: getattr(one, "kind", ""),
)  # fmt: skip
def test_draws_of_one_class_or_value_have_no_area_in_both_ways(task, chosen):
    targets, outputs = predicted(task)
    counts = np.bincount(chosen, minlength=60)[None].astype(float)
    expected = scores_of(task, targets[chosen], outputs[chosen])
    found = draw_scores(task, targets, outputs, counts)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name][0], value, atol=1e-9, err_msg=name)
    undefined = {name for name, value in expected.items() if np.isnan(value)}
    if task is GRADES:
        assert undefined >= {"macro AUROC", "AUROC 3"}
        assert "accuracy" not in undefined
    if task is AGE:
        assert undefined == {"R2", "Pearson"}
    if task is DEATH:
        assert undefined == {"C-index"}


def test_macro_micro_and_kappa_are_scikit_learns():
    targets, outputs = predicted(GRADES, rows=200)
    found = scores_of(GRADES, targets, outputs)
    labels = targets[:, 0].astype(int)
    for average in ("macro", "micro"):
        assert found[f"{average} AUROC"] == pytest.approx(
            metrics.roc_auc_score(labels, outputs, multi_class="ovr", average=average)
        )
        assert found[f"{average} AUPRC"] == pytest.approx(
            metrics.average_precision_score(np.eye(4)[labels], outputs, average=average)
        )
    assert found["quadratic kappa"] == pytest.approx(
        metrics.cohen_kappa_score(labels, outputs.argmax(1), weights="quadratic")
    )
    words = Task("classification", ("type",), ("LUAD", "LUSC", "SCLC", "other"))
    assert "quadratic kappa" not in scores_of(words, targets, outputs)


def test_calibration_by_hand():
    confidence = np.array([0.95, 0.92, 0.55, 0.58, 1.0])
    right = np.array([True, False, True, True, True])
    # the bin 0.9..1 holds three, 0.5..0.6 two
    expected = abs(2 / 3 - 2.87 / 3) * 3 / 5 + abs(1 - 1.13 / 2) * 2 / 5
    assert calibration_error(right, confidence) == pytest.approx(expected)
    mean, share, count = reliability(right, confidence)
    np.testing.assert_allclose(mean, [0.565, 2.87 / 3])
    np.testing.assert_allclose(share, [1, 2 / 3])
    assert count.tolist() == [2, 3]
    truth, outputs = np.eye(2)[[0, 1, 1]], np.array([[0.8, 0.2], [0.4, 0.6], [0.7, 0.3]])
    assert brier(truth, outputs) == pytest.approx(
        2 * metrics.brier_score_loss([0, 1, 1], outputs[:, 1])
    )


def test_intervals_count_what_is_not_defined():
    values = np.array([np.nan, *np.linspace(0, 1, 101)])
    score = interval(0.5, values)
    assert (score.low, score.high, score.undefined) == pytest.approx((0.025, 0.975, 1))
    nothing = interval(float("nan"), np.array([np.nan, np.nan]))
    assert nothing.undefined == 2
    assert np.isnan(nothing.low)


def test_an_interval_covers_as_often_as_it_says():
    """Of 200 experiments with 40 patients of a known mean, 95 % intervals cover nearly 190."""
    generator = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        own = generator.normal(size=40)
        values = np.repeat(own, 3)
        found = bootstrap(
            lambda rows, v=values: {"mean": v[rows].mean()},
            np.repeat(np.arange(40), 3), draws=200, seed=seed,
        )["mean"]  # fmt: skip
        covered += found.low <= 0 <= found.high
    assert 180 <= covered <= 198
