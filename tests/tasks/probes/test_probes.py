"""Probes over frozen embeddings: published arrays, other libraries, known answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gigakit.core.errors import ConfigError
from gigakit.tasks.probes.knn import knn_probabilities
from gigakit.tasks.probes.labelled import LabelledFeatures
from gigakit.tasks.probes.linear import STRENGTHS, linear_probe
from gigakit.tasks.probes.scores import differences, scores, scores_with_intervals


def test_neighbours_vote_as_in_the_published_code(shared):
    with np.load(shared / "reference/ssl/knn.npz") as arrays:
        found = knn_probabilities(
            torch.from_numpy(arrays["train_features"]),
            torch.from_numpy(arrays["train_labels"]),
            torch.from_numpy(arrays["test_features"]),
            classes=4,
            ks=(1, 5, 10, 20),
            temperature=float(arrays["temperature"]),
        )
        for k, votes in found.items():
            np.testing.assert_allclose(votes.numpy(), arrays[f"probas_k{k}"], atol=2e-6)
            top = (votes.argmax(1).numpy() == arrays["test_labels"]).mean()
            assert top == pytest.approx(float(arrays[f"top1_k{k}"]))


def labelled(tiles=240, classes=3, noise=1.0, seed=0, val=True):
    """Cases of four tiles, each near its class and its own place."""
    generator = np.random.default_rng(seed)
    cases = np.arange(tiles) // 4
    labels = cases % classes
    centres = generator.normal(size=(classes, 8)) * 2
    own = generator.normal(size=(cases.max() + 1, 8)) * noise
    features = centres[labels] + own[cases] + 0.1 * generator.normal(size=(tiles, 8))
    names = np.array(["train", "val", "test"] if val else ["train", "train", "test"])
    return LabelledFeatures(
        features.astype(np.float32),
        labels.astype(np.int64),
        tuple("abc"[:classes]),
        cases.astype(str),
        names[(cases // classes) % 3],
    )


@pytest.mark.parametrize("val", [True, False])
def test_a_linear_probe_finds_what_is_linear_and_nothing_in_noise(val):
    data = labelled(val=val)
    probe = linear_probe(data)
    test = data.part("test")
    assert probe.probabilities.shape == (test.sum(), 3)
    np.testing.assert_allclose(probe.probabilities.sum(axis=1), 1, atol=1e-6)
    assert scores(data.labels[test], probe.probabilities)["accuracy"] > 0.9
    shuffled = np.random.default_rng(1).permutation(data.labels)
    nothing = LabelledFeatures(data.features, shuffled, data.classes, data.cases, data.splits)
    found = scores(shuffled[test], linear_probe(nothing).probabilities)
    assert 0.3 < found["macro AUROC"] < 0.7


def test_the_test_tiles_decide_nothing():
    data = labelled(noise=3.0)
    test = data.part("test")
    labels = data.labels.copy()
    labels[test] = (labels[test] + 1) % 3
    other = LabelledFeatures(data.features, labels, data.classes, data.cases, data.splits)
    one, two = linear_probe(data), linear_probe(other)
    assert one.strength == two.strength
    np.testing.assert_array_equal(one.probabilities, two.probabilities)


@pytest.mark.parametrize("seed", [1, 4])
def test_the_regularisation_is_that_of_least_log_loss(seed):
    data = labelled(noise=6.0, seed=seed)
    train, val = data.part("train"), data.part("val")
    losses = {}
    for strength in STRENGTHS:
        model = make_pipeline(
            StandardScaler(),
            LogisticRegression(C=strength, class_weight="balanced", max_iter=2000),
        ).fit(data.features[train], data.labels[train])
        found = model.predict_proba(data.features[val]).astype(np.float64)
        losses[strength] = metrics.log_loss(data.labels[val], found / found.sum(1, keepdims=True))
    best = min(losses, key=losses.get)
    assert STRENGTHS[0] < best < STRENGTHS[-1]
    assert linear_probe(data).strength == best


def test_a_class_that_training_lacks_has_no_probability():
    data = labelled()
    splits = data.splits.copy()
    splits[data.labels == 2] = "test"
    probe = linear_probe(
        LabelledFeatures(data.features, data.labels, data.classes, data.cases, splits)
    )
    assert (probe.probabilities[:, 2] == 0).all()


def test_scores_are_those_of_scikit_learn():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, 200)
    votes = np.round(generator.random((200, 4)) + 0.3 * np.eye(4)[labels], 2)
    shares = votes / votes.sum(axis=1, keepdims=True)
    found = scores(labels, shares)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(labels, shares.argmax(1)))
    assert found["balanced accuracy"] == pytest.approx(
        metrics.balanced_accuracy_score(labels, shares.argmax(1))
    )
    expected = metrics.roc_auc_score(labels, shares, multi_class="ovr", average="macro")
    assert found["macro AUROC"] == pytest.approx(expected)


def test_intervals_follow_the_number_of_cases_not_of_tiles():
    generator = np.random.default_rng(0)
    labels = np.repeat(generator.integers(0, 2, 40), 5)
    right = np.repeat(generator.random(40) < 0.7, 5)
    predicted = np.where(right, labels, 1 - labels)
    votes = np.eye(2)[predicted]
    by_case = scores_with_intervals(labels, votes, np.repeat(np.arange(40), 5))["accuracy"]
    by_tile = scores_with_intervals(labels, votes, np.arange(200))["accuracy"]
    assert by_case.low < by_case.value < by_case.high
    assert by_case.high - by_case.low > 1.7 * (by_tile.high - by_tile.low)
    assert by_case == scores_with_intervals(labels, votes, np.repeat(np.arange(40), 5))["accuracy"]


def test_paired_differences_are_narrower_than_their_parts():
    generator = np.random.default_rng(0)
    labels, cases = generator.integers(0, 2, 300), np.arange(300) // 3
    hard = generator.random(300)
    better, worse = (np.eye(2)[np.where(hard < p, labels, 1 - labels)] for p in (0.8, 0.7))
    gap = differences(labels, better, worse, cases)["accuracy"]
    alone = scores_with_intervals(labels, better, cases)["accuracy"]
    assert 0 < gap.low < gap.value < gap.high
    assert gap.high - gap.low < alone.high - alone.low


def test_cases_on_both_sides_are_told():
    data = labelled()
    assert data.leaks() == []
    splits = data.splits.copy()
    splits[0] = "train" if splits[0] == "test" else "test"
    moved = LabelledFeatures(data.features, data.labels, data.classes, data.cases, splits)
    assert moved.leaks() == ["0"]


def test_what_cannot_be_probed_is_refused():
    data = labelled()
    parts = (data.features, data.labels, data.classes, data.cases)
    with pytest.raises(ConfigError, match="'dev'"):
        LabelledFeatures(*parts, np.where(data.splits == "val", "dev", data.splits))
    with pytest.raises(ConfigError, match="no tile is in split 'test'"):
        LabelledFeatures(*parts, np.full(len(data.labels), "train"))
    with pytest.raises(ConfigError, match="one class"):
        LabelledFeatures(
            data.features, np.zeros_like(data.labels), data.classes, data.cases, data.splits
        )
    with pytest.raises(ConfigError, match="lengths differ"):
        LabelledFeatures(data.features[1:], *parts[1:], data.splits)
