"""The benchmark of held-back tiles: what training does not see, and what is scored."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from gigakit.core.seeding import random_generator
from gigakit.data.slide_sample import SlideSample
from gigakit.tasks.metrics.masked_reconstruction import MaskedReconstruction


@pytest.fixture(scope="module")
def bench(repository):
    path = repository / "tools" / "bench" / "held_back_tiles.py"
    spec = importlib.util.spec_from_file_location("held_back_tiles", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_training_sees_no_tile_that_is_scored(bench):
    tiles = np.arange(49, dtype=np.float32)[:, None]
    seen = bench.WithoutHeldBack()(SlideSample(tiles, np.zeros((49, 2))), random_generator(0))
    held = bench.held_back(49)
    assert set(seen.features[:, 0].astype(int)) == set(np.flatnonzero(~held))
    assert held.sum() == 13

    generator = np.random.default_rng(0)
    mask = generator.random(49) < 0.75
    sample = {
        "features": torch.from_numpy(generator.normal(size=(49, 3))),
        "grid": torch.from_numpy(generator.random((49, 2)) * 9),
        "prediction": torch.from_numpy(generator.normal(size=(49, 3))),
        "token_mask": torch.from_numpy(mask),
    }
    metric = bench.HeldBackReconstruction()
    metric.process(None, [sample])
    found = metric.compute_metrics(metric.results)
    assert found["hidden_tiles"] == (mask & held).sum()
    # the visible tiles are all there, so the baselines are the same
    true, hidden = sample["features"].numpy(), mask & held
    error = ((true[~mask].mean(axis=0) - true[hidden]) ** 2).sum()
    total = ((true[hidden] - true[hidden].mean(axis=0)) ** 2).sum()
    assert found["r2_mean"] == pytest.approx(1 - error / total)
    assert isinstance(metric, MaskedReconstruction)
