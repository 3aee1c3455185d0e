"""The benchmark of the protocol: slides of realistic length, which a feature folder reads."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from gigakit.data.feature_folder import FeatureFolder


@pytest.fixture
def bench(repository, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(repository / "tools" / "bench"), *sys.path])
    path = repository / "tools" / "bench" / "protocol.py"
    spec = importlib.util.spec_from_file_location("protocol_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_slides_are_as_long_as_the_corpus_says(bench):
    lengths = bench.lengths_of(20_000, 8090, np.random.default_rng(0))
    assert lengths.max() == 70_122
    # the cut takes a little off the mean
    assert 7_600 < lengths.mean() < 8_200


def test_slides_are_read_and_timed(bench, tmp_path):
    bench.write_slide(tmp_path / "a.h5", 50, 16, 1, 0)
    found = FeatureFolder(tmp_path).read(tmp_path / "a.h5")
    assert found.features.shape == (50, 16)
    np.testing.assert_array_equal(found.grid[9], [1, 1])
    one = bench.measure_slide(tmp_path, "tasks/abmil", 50, 16)
    assert one["tiles"] == 50
    assert min(one[f"{way}_seconds"] for way in ("read", "predict", "train")) > 0
