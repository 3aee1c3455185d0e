"""The reconstruction metric against scikit-learn-free formulas and known cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gigakit.registry import METRICS


def slide(seed, length=30, width=5):
    generator = np.random.default_rng(seed)
    features = generator.standard_normal((length, width)).astype(np.float32)
    mask = generator.random(length) < 0.7
    mask[0], mask[1] = True, False
    return {
        "features": torch.from_numpy(features),
        "prediction": torch.from_numpy(generator.standard_normal((length, width)).astype("f4")),
        "grid": torch.from_numpy(generator.permutation(length * 2).reshape(length, 2).astype("f8")),
        "token_mask": torch.from_numpy(mask),
    }


def evaluate(slides):
    metric = METRICS.build({"type": "MaskedReconstruction"})
    for sample in slides:
        metric.process({}, [sample])
    return metric.compute_metrics(metric.results)


def r2(true, predicted):
    return 1 - ((true - predicted) ** 2).sum() / ((true - true.mean(axis=0)) ** 2).sum()


def test_values_are_their_formulas_over_all_slides():
    slides = [slide(0), slide(1, length=12)]
    metrics = evaluate(slides)
    true, model, mean, nearest = [], [], [], []
    for sample in slides:
        x, p, grid = (sample[key].numpy() for key in ("features", "prediction", "grid"))
        hidden = sample["token_mask"].numpy()
        visible = np.flatnonzero(~hidden)
        for i in np.flatnonzero(hidden):
            distances = [((grid[i] - grid[j]) ** 2).sum() for j in visible]
            true.append(x[i])
            model.append(p[i])
            mean.append(x[visible].mean(axis=0))
            nearest.append(x[visible[int(np.argmin(distances))]])
    true = np.array(true, dtype=np.float64)
    for name, predicted in (("", model), ("_mean", mean), ("_nearest", nearest)):
        predicted = np.array(predicted, dtype=np.float64)
        cosine = (true * predicted).sum(1)
        cosine /= np.linalg.norm(true, axis=1) * np.linalg.norm(predicted, axis=1)
        assert metrics[f"r2{name}"] == pytest.approx(r2(true, predicted), abs=1e-6)
        assert metrics[f"cosine{name}"] == pytest.approx(cosine.mean(), abs=1e-6)
    assert metrics["hidden_tiles"] == len(true)


def test_a_perfect_prediction_scores_one():
    sample = slide(2)
    sample["prediction"] = sample["features"]
    metrics = evaluate([sample])
    assert metrics["r2"] == pytest.approx(1.0)
    assert metrics["cosine"] == pytest.approx(1.0)


def test_visible_predictions_do_not_count():
    sample, changed = slide(3), slide(3)
    changed["prediction"] = torch.where(
        changed["token_mask"][:, None], changed["prediction"], torch.tensor(99.0)
    )
    assert evaluate([sample]) == evaluate([changed])


def test_nothing_hidden_gives_no_score():
    sample = slide(4)
    sample["token_mask"] = torch.zeros(30, dtype=torch.bool)
    assert evaluate([sample]) == {"hidden_tiles": 0.0}
