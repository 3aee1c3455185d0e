"""The benchmark of bags: what scales them, what is tested, what is scored."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from gigakit.wsi.features import read_features


@pytest.fixture(scope="module")
def bench(repository):
    path = repository / "tools" / "bench" / "mil_bags.py"
    spec = importlib.util.spec_from_file_location("mil_bags", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data():
    """Return sixteen bags; a positive one has one tile that is far off."""
    generator = np.random.default_rng(0)
    sizes = generator.integers(3, 7, 16)
    features = generator.standard_normal((sizes.sum(), 2)).astype(np.float32) * 5
    label = np.arange(16) % 2
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    features[first[label == 1], 0] += 100
    return {
        "features": features,
        "bag_id": np.repeat(np.arange(16), sizes),
        "bags": np.arange(16),
        "bag_label": label,
    }


def test_features_are_scaled_by_the_training_bags_alone(bench, data, tmp_path):
    test = np.array([0, 1, 2, 3])
    bench.write_fold(data, test, tmp_path)
    stored = [read_features(tmp_path / f"{bag}.h5").features for bag in range(16)]
    known = np.concatenate(stored[4:])
    assert known.mean(axis=0) == pytest.approx(np.zeros(2), abs=1e-2)
    assert known.std(axis=0) == pytest.approx(np.ones(2), abs=1e-2)
    rows = (tmp_path / "labels.csv").read_text().splitlines()
    assert rows[1:5] == [f"{bag},{bag},test,{bag % 2}" for bag in range(4)]


def test_every_bag_is_told_by_the_model_that_has_not_seen_it(bench, data):
    folds = [np.arange(0, 8), np.arange(8, 16)]
    quick = {**bench.WAYS["mean pooling"], "optim_wrapper.optimizer.lr": 0.1}
    told = bench.cross_validate(data, folds, quick, 40, 0)
    assert bench.scores(data["bag_label"], told[None])["auroc"] > 0.9


def test_scores_are_means_over_repeats(bench):
    labels = np.array([0, 0, 1, 1])
    told = np.array([[0.1, 0.2, 0.9, 0.4], [0.1, 0.9, 0.8, 0.7]])
    found = bench.scores(labels, told)
    assert found["by_repeat"] == [0.75, 0.75]
    assert found["accuracy"] == 0.75
    assert found["auroc"] == pytest.approx((1.0 + 0.5) / 2)
    assert found["low"] <= 0.75 <= found["high"]
