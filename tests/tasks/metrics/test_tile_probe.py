"""The probe in training: what it looks at, and that it is the probe of the command."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gigakit.core.errors import ConfigError
from gigakit.registry import METRICS
from gigakit.ssl.health import rank_me
from gigakit.tasks.probes.knn import knn_probabilities
from gigakit.tasks.probes.linear import linear_probe


def samples(noise=0.5, seed=0):
    generator = np.random.default_rng(seed)
    found = []
    for case in range(60):
        label = case % 3
        place = 2 * np.eye(8)[label] + noise * generator.normal(size=8)
        found += [
            {
                "features": torch.from_numpy(place + 0.1 * generator.normal(size=8)).float(),
                "label": label,
                "case": f"c{case}",
                "split": ("train", "val", "test")[case // 3 % 3],
                "image_id": f"c{case}-{tile}",
            }
            for tile in range(4)
        ]
    return found


def evaluate(found, **arguments):
    metric = METRICS.build({"type": "TileProbe", **arguments})
    for start in range(0, len(found), 7):
        metric.process({}, found[start : start + 7])
    return metric.evaluate(len(found))


def part(found, split):
    some = [one for one in found if one["split"] == split]
    return torch.stack([s["features"] for s in some]), torch.tensor([s["label"] for s in some])


def test_the_numbers_are_those_of_their_formulas():
    found = samples(noise=1.5)
    metrics = evaluate(found)
    assert set(metrics) == {"probe/knn_accuracy", "probe/knn_balanced_accuracy", "probe/rankme"}
    (train, labels), (val, truth) = part(found, "train"), part(found, "val")
    votes = knn_probabilities(train, labels, val, classes=3, ks=[20])[20].argmax(1)
    recalls = [float((votes[truth == c] == c).float().mean()) for c in range(3)]
    assert metrics["probe/knn_accuracy"] == pytest.approx(float((votes == truth).float().mean()))
    assert metrics["probe/knn_balanced_accuracy"] == pytest.approx(np.mean(recalls))
    rows = torch.stack([s["features"] for s in found if s["split"] != "test"])
    assert metrics["probe/rankme"] == pytest.approx(rank_me(rows))


def test_the_test_split_is_not_looked_at_unless_asked_for():
    found = samples()
    spoilt = [
        {**one, "features": one["features"] * 100, "label": 2 - one["label"]}
        if one["split"] == "test"
        else one
        for one in found
    ]
    assert evaluate(found) == evaluate(spoilt)
    assert evaluate(found, test="test") != evaluate(spoilt, test="test")
    # and neither is what was validated on, when the test split is scored
    changed = [{**one, "label": 0} if one["split"] == "val" else one for one in found]
    assert evaluate(found, test="test") == evaluate(changed, test="test")


@pytest.mark.parametrize("strength", [0.01, None])
def test_the_linear_probe_is_optional(strength):
    metrics = evaluate(samples(), linear=True, strength=strength)
    assert metrics["probe/linear_balanced_accuracy"] > 0.9
    assert metrics["probe/linear_macro_auroc"] > 0.95


def test_the_order_of_tiles_changes_nothing():
    found = samples(noise=1.5)
    other = evaluate(found[::-1], linear=True)
    for name, value in evaluate(found, linear=True).items():
        assert other[name] == pytest.approx(value, abs=1e-6)


def test_what_cannot_be_probed_is_refused():
    with pytest.raises(ConfigError, match="choose val or test"):
        METRICS.build({"type": "TileProbe", "test": "train"})
    tests_only = [{**one, "split": "test"} for one in samples()]
    with pytest.raises(ConfigError, match="no tile is in split"):
        evaluate(tests_only)


def test_a_single_strength_is_not_searched_for(monkeypatch):
    from gigakit.tasks.probes import linear

    monkeypatch.setattr(linear, "_validation_loss", None)
    evaluate(samples(), linear=True)
    with pytest.raises(TypeError):
        evaluate(samples(), linear=True, strength=None)
    assert linear_probe is linear.linear_probe
