"""Frozen probes: what each fits, what decides, and the numbers known of real cohorts."""

from __future__ import annotations

import dataclasses
import json

import h5py
import numpy as np
import pytest
import torch
from tasks.evaluation.cohort import cohort
from tasks.evaluation.folds import cohorts
from tasks.evaluation.real import write_bags, write_features

from gigakit.core.errors import ConfigError, StoreError
from gigakit.data.slide_labels import Task, read_slide_labels
from gigakit.tasks.evaluation.evaluation import whole_scores
from gigakit.tasks.evaluation.frozen import PROBES, choose_probe, probe_fold
from gigakit.tasks.evaluation.models import cox, neighbours, prototypes
from gigakit.tasks.evaluation.probing import Probing
from gigakit.tasks.evaluation.slide_vectors import SlideVectors, read_slide_vectors
from gigakit.tasks.evaluation.splits import cross_validation
from gigakit.wsi.slide_embeddings import write_slide_embeddings


def vectors_of(data, noise=0.5, seed=0):
    """Return vectors in which the targets can be read, beside numbers that mean nothing."""
    generator = np.random.default_rng(seed)
    if data.task.kind == "classification":
        told = np.eye(len(data.task.classes))[data.targets[:, 0].astype(int)]
    elif data.task.kind == "survival":
        told = np.log(data.targets[:, :1])
    else:
        told = np.nan_to_num(data.targets)
        told = (told - told.mean(axis=0)) / told.std(axis=0)
    told = told + noise * generator.normal(size=told.shape)
    return np.hstack([told, generator.normal(size=(len(told), 4))]).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "kind", "score", "least"),
    [
        ("linear", "classification", "macro AUROC", 0.85),
        ("linear", "multi_label", "macro AUROC", 0.9),
        ("linear", "regression", "R2", 0.6),
        ("linear", "survival", "C-index", 0.75),
        ("neighbours", "classification", "macro AUROC", 0.8),
        ("neighbours", "multi_label", "macro AUROC", 0.75),
        ("neighbours", "regression", "Pearson", 0.5),
        ("prototypes", "classification", "macro AUROC", 0.9),
    ],
)
def test_what_can_be_read_is_found(name, kind, score, least):
    data = cohorts()[kind]
    splits = cross_validation(data, 2)
    told = SlideVectors({"told": vectors_of(data)}, "told")
    found = Probing(name, told, data, draws=10).over(splits)
    assert found.scores[score].value > least


def test_nothing_is_found_in_noise_and_inner_folds_may_choose():
    data = cohort()
    splits = cross_validation(data, 3)
    noise = np.random.default_rng(9).normal(size=(len(data.slides), 5)).astype(np.float32)
    vectors = SlideVectors({"noise": noise}, "noise")
    found = Probing("linear", vectors, data, settings=[0.01, 1.0], inner_folds=3, draws=10).over(
        splits
    )
    assert 0.35 < found.scores["macro AUROC"].value < 0.65
    assert "over 3 inner folds by patient" in found.facts["chosen"]


def test_test_slides_decide_nothing():
    data = cohort()
    (split, *_) = cross_validation(data, 3, val=0.2)
    versions = {"weak": vectors_of(data, noise=3), "strong": vectors_of(data, noise=0.3)}
    name, probe = choose_probe("linear", data.task)
    one, _ = probe_fold(probe, versions, data, split)
    assert name == "linear"
    assert one.facts["vectors"] == "strong"
    targets = data.targets.copy()
    test = split.rows("test")
    targets[test] = (targets[test] + 1) % 3
    two, _ = probe_fold(probe, versions, dataclasses.replace(data, targets=targets), split)
    assert one.facts == two.facts
    np.testing.assert_array_equal(one.predictions.outputs, two.predictions.outputs)


def test_a_choice_that_test_would_like_and_val_would_not_is_not_made():
    data = cohort()
    (split, *_) = cross_validation(data, 3, val=0.2)
    good, bad = vectors_of(data, noise=0.3), vectors_of(data, noise=3)
    trap = np.where(split.parts[:, None] == "val", bad[:, ::-1], good)
    _, probe = choose_probe("linear", data.task)
    found, _ = probe_fold(probe, {"trap": trap, "sound": good}, data, split)
    assert found.facts["vectors"] == "sound"


def test_cox_regression_finds_the_hazard():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(300, 2)).astype(np.float32)
    times = generator.exponential(np.exp(-x[:, 0] + 0.5 * x[:, 1]))
    targets = np.stack([times, np.ones(300)], axis=1)
    predict = cox.fit(x, targets, Task("survival", ("t", "e")), 1e-4, 0)
    risk = predict(np.eye(2, dtype=np.float32)) - predict(np.zeros((1, 2), dtype=np.float32))
    # log hazard ratios of 1 and -0.5 a unit
    np.testing.assert_allclose(risk[:, 0], [1.0, -0.5], atol=0.15)
    with pytest.raises(ConfigError, match="no event is observed"):
        cox.fit(x, targets * [1, 0], Task("survival", ("t", "e")), 1.0, 0)


def test_neighbours_and_prototypes_by_hand():
    x = np.array([[1, 0], [0, 1], [1, 1]], dtype=np.float32)
    targets = np.array([[2.0], [4.0], [8.0]])
    predict = neighbours.fit(x, targets, Task("regression", ("a",)), 2, 0)
    weights = np.exp(np.array([1, 1 / np.sqrt(2)]) / 0.07)
    expected = (weights * [2, 8]).sum() / weights.sum()
    np.testing.assert_allclose(predict(x[:1]), [[expected]], rtol=1e-5)
    task = Task("classification", ("a",), ("x", "y", "z"))
    labels = np.array([[0.0], [1.0], [1.0]])
    found = prototypes.fit(x, labels, task, 0.1, 0)(x[:1])
    centre = x.mean(axis=0)
    own = (x - centre) / np.linalg.norm(x - centre, axis=1, keepdims=True)
    distance = [((own[0] - m) ** 2).sum() for m in (own[0], own[1:].mean(axis=0))]
    votes = np.exp(-np.array(distance) / 0.1)
    np.testing.assert_allclose(found, [[*votes / votes.sum(), 0]], atol=1e-6)


def test_the_published_probe_is_a_seeded_linear_layer(monkeypatch):
    monkeypatch.setattr("gigakit.tasks.evaluation.models.published_linear._STEPS", 120)
    data = cohort(patients=40, classes=2)
    x = vectors_of(data, noise=0.4)
    fit = PROBES["published-linear"].fit
    state = torch.get_rng_state()
    one, again, other = (fit(x, data.targets, data.task, 0.5, seed)(x) for seed in (0, 0, 1))
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0
    np.testing.assert_allclose(one.sum(axis=1), 1, atol=1e-6)
    assert (one.argmax(axis=1) == data.targets[:, 0]).mean() > 0.9


def test_probes_refuse_tasks_that_they_cannot_do():
    assert choose_probe("linear", Task("survival", ("t", "e")))[0] == "cox"
    with pytest.raises(ConfigError, match="'prototypes' is for classification, not regression"):
        choose_probe("prototypes", Task("regression", ("age",)))


def test_vectors_are_pooled_tiles_or_stored_layers(tmp_path):
    generator = np.random.default_rng(0)
    tiles, layers = generator.normal(size=(7, 3)), generator.normal(size=(4, 5))
    (tmp_path / "tiles").mkdir()
    write_features(tmp_path / "tiles" / "a.h5", tiles)
    torch.save(torch.from_numpy(tiles[:2]), tmp_path / "tiles" / "b.pt")
    found = read_slide_vectors(tmp_path / "tiles", ["b", "a"], pool="mean+max")
    assert list(found.versions) == ["mean+max of tiles"]
    expected = [np.r_[one.mean(axis=0), one.max(axis=0)] for one in (tiles[:2], tiles)]
    np.testing.assert_allclose(found.versions["mean+max of tiles"], expected, rtol=1e-6)
    arrays = {"cls": layers, "mean": -layers, "last_cls": layers[0], "last_mean": layers[1]}
    write_slide_embeddings(tmp_path / "slides" / "a.h5", arrays, {})

    def read(**options):
        return read_slide_vectors(tmp_path / "slides", ["a"], **options).versions

    np.testing.assert_allclose(read()["layer last"], layers[3:], rtol=1e-6)
    several = read(embedding="mean", layers="0,1-2+3,all")
    assert [one.shape for one in several.values()] == [(1, 5), (1, 15), (1, 20)]
    np.testing.assert_allclose(several["layer 1-2+3"], -layers[1:].reshape(1, -1), rtol=1e-6)
    np.testing.assert_allclose(read(embedding="last_mean")["last_mean"], layers[1:2], rtol=1e-6)
    with pytest.raises(ConfigError, match="there is no slide embedding 'cls_mean'"):
        read(embedding="cls_mean")
    with h5py.File(tmp_path / "tiles" / "b.h5", "w") as file:
        file["features"] = np.zeros((2, 9))
    (tmp_path / "tiles" / "b.pt").unlink()
    with pytest.raises(StoreError, match=r"has 9 numbers, that of a.h5 3"):
        read_slide_vectors(tmp_path / "tiles", ["a", "b"])


@pytest.mark.parametrize(
    ("name", "accuracy", "area"), [("ucsb_breast", 0.797, 0.849), ("musk1", 0.859, 0.920)]
)
def test_pooled_baselines_of_real_bags_are_reproduced(shared, tmp_path, name, accuracy, area):
    """The known figures are those of mean-pooled logistic regression over five times ten folds."""
    table = write_bags(tmp_path / "features", shared / "data" / "mil_bags" / f"{name}.npz")
    data = read_slide_labels(table, ["label"])
    vectors = read_slide_vectors(tmp_path / "features", data.slides.tolist())
    card = Probing("linear", vectors, data, settings=[0.1], draws=100).over(
        cross_validation(data, 10)
    )
    found = card.scores
    assert abs(found["accuracy"].value - accuracy) < 0.05
    assert found["accuracy"].low < accuracy < found["accuracy"].high
    assert found["macro AUROC"].low < area < found["macro AUROC"].high
    assert json.dumps(whole_scores(card.evaluation))
