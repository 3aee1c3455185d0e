"""Scores of slides against scikit-learn's and definitions written as loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn import metrics

from gigakit.core.errors import ConfigError
from gigakit.registry import METRICS
from gigakit.tasks.metrics.slide_scores import concordance


def score(kind, told, labels, patients=None, **arguments):
    metric = METRICS.build({"type": "SlideScores", **arguments})
    name = {"regression": "value", "survival": "risk"}.get(kind, "probability")
    samples = [
        {
            "kind": kind, "slide_id": f"s{row}", name: torch.as_tensor(told[row]),
            "patient_id": patients[row] if patients else f"p{row}",
            "label": torch.as_tensor(labels[row]),
        }
        for row in range(len(told))
    ]  # fmt: skip
    metric.process({}, samples[:3])
    metric.process({}, samples[3:])
    return metric.compute_metrics(metric.results)


@pytest.fixture
def drawn():
    generator = np.random.default_rng(0)
    logits = generator.standard_normal((30, 3))
    labels = generator.integers(0, 3, 30)
    logits[np.arange(30), labels] += 1.0
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True), labels


def test_classes(drawn):
    told, labels = drawn
    found = score("classification", told, labels)
    choice = told.argmax(1)
    expected = {
        "accuracy": metrics.accuracy_score(labels, choice),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, choice),
        "macro_auroc": metrics.roc_auc_score(labels, told, multi_class="ovr"),
        "quadratic_kappa": metrics.cohen_kappa_score(labels, choice, weights="quadratic"),
        "cross_entropy": metrics.log_loss(labels, told),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    one_hot = labels[:, None] == np.arange(3)
    assert found["macro_auprc"] == pytest.approx(metrics.average_precision_score(one_hot, told))


def test_a_patients_slides_are_averaged(drawn):
    told, _ = drawn
    labels = [0, 0, 1, 1]
    four = told[:4]
    found = score("classification", four, labels, ["a", "a", "b", "b"])
    mean = np.stack([four[:2].mean(0), four[2:].mean(0)])
    assert found["accuracy"] == pytest.approx((mean.argmax(1) == [0, 1]).mean())
    assert found["cross_entropy"] == pytest.approx(-np.log(mean[[0, 1], [0, 1]]).mean(), rel=1e-5)
    single = score("classification", four, labels, ["a", "a", "b", "b"], by="slide")
    assert single["cross_entropy"] == pytest.approx(
        -np.log(four[range(4), labels]).mean(), rel=1e-5
    )


def test_several_labels_of_which_some_are_unknown():
    generator = np.random.default_rng(1)
    told = generator.random((20, 2))
    labels = (generator.random((20, 2)) < 0.5).astype(float)
    labels[::4, 1] = np.nan
    found = score("multi_label", told, labels)
    known = ~np.isnan(labels)
    each = [metrics.roc_auc_score(labels[known[:, c], c], told[known[:, c], c]) for c in (0, 1)]
    assert found["macro_auroc"] == pytest.approx(np.mean(each))
    assert found["micro_auroc"] == pytest.approx(metrics.roc_auc_score(labels[known], told[known]))
    assert found["cross_entropy"] == pytest.approx(metrics.log_loss(labels[known], told[known]))


def test_a_class_that_is_not_there_is_left_out(drawn):
    told, _ = drawn
    found = score("classification", told[:6], [0, 1, 0, 1, 0, 1])
    areas = [metrics.roc_auc_score([c == y for y in (0, 1) * 3], told[:6, c]) for c in (0, 1)]
    assert found["macro_auroc"] == pytest.approx(np.mean(areas))
    assert "macro_auroc" not in score("classification", told[:4], [0, 0, 0, 0])


def test_values():
    told, labels = np.array([[1.0], [2.0], [4.0], [4.0]]), np.array([[1.0], [3.0], [4.0], [6.0]])
    found = score("regression", told, labels)
    assert found == pytest.approx({"mae": 0.75, "r2": metrics.r2_score(labels[:, 0], told[:, 0])})


def test_concordance_is_its_definition():
    generator = np.random.default_rng(3)
    risk, time = generator.integers(0, 6, 25) / 2.0, generator.integers(1, 9, 25) * 1.0
    event = (generator.random(25) < 0.6) * 1.0
    won = pairs = 0.0
    for i, j in itertools.permutations(range(25), 2):
        if event[i] and (time[i] < time[j] or (time[i] == time[j] and not event[j])):
            pairs += 1
            won += 1.0 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] else 0.0
    assert concordance(risk, time, event) == pytest.approx(won / pairs)
    found = score("survival", risk[:, None], np.stack([time, event], axis=1))
    assert found["c_index"] == pytest.approx(won / pairs)
    assert np.isnan(concordance(risk, time, np.zeros(25)))


def test_an_unknown_unit_is_refused():
    with pytest.raises(ConfigError, match="patient or slide"):
        METRICS.build({"type": "SlideScores", "by": "tile"})
