"""Numbers of a representation's health, against published values and their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gigakit.ssl.health import (
    covariance_effective_rank,
    feature_std,
    mean_pairwise_cosine,
    rank_me,
    spectrum_slope,
    target_entropies,
)


@pytest.fixture
def published(shared):
    return np.load(shared / "reference/ssl/health_metrics.npz")


def test_they_are_the_published_values(published):
    features = torch.from_numpy(published["embeddings"])
    found = {
        "rankme_uncentered": rank_me(features),
        "rankme_centered": rank_me(features, centred=True),
        "cov_effective_rank_bifold": covariance_effective_rank(features),
        "alpha_req_slope_all": spectrum_slope(features),
        "mean_pairwise_cosine": mean_pairwise_cosine(features),
    }
    for name, value in found.items():
        assert value == pytest.approx(float(published[name]), rel=1e-6), name
    np.testing.assert_allclose(
        feature_std(features).numpy(), published["per_dim_std_of_normalised"], atol=1e-8
    )


def test_points_in_all_directions_and_in_one():
    generator = torch.Generator().manual_seed(0)
    everywhere = torch.randn(4000, 16, generator=generator)
    assert covariance_effective_rank(everywhere) == pytest.approx(16, rel=0.01)
    assert rank_me(everywhere) == pytest.approx(16, rel=0.01)
    assert float(feature_std(everywhere).mean()) * 4 == pytest.approx(1, rel=0.02)
    assert mean_pairwise_cosine(everywhere) == pytest.approx(0, abs=0.01)
    assert spectrum_slope(everywhere) == pytest.approx(0, abs=0.1)
    line = everywhere[:, :1] * torch.arange(1.0, 17)
    assert covariance_effective_rank(line) == pytest.approx(1, abs=1e-5)
    assert rank_me(line) == pytest.approx(1, abs=1e-3)


def test_pairs_are_counted_once_and_never_with_themselves():
    features = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    root = math.sqrt(0.5)
    assert mean_pairwise_cosine(features) == pytest.approx((0 + root + root) / 3)


@pytest.mark.parametrize("rows", [1, 3])
def test_constant_and_single_features_are_collapsed_not_an_error(rows):
    features = torch.ones(rows, 8, dtype=torch.bfloat16)
    assert covariance_effective_rank(features) == pytest.approx(1.0)
    assert feature_std(features).abs().max() < 1e-12
    assert math.isnan(spectrum_slope(features))
    assert rank_me(features) == pytest.approx(1.0, abs=1e-4)
    assert math.isnan(mean_pairwise_cosine(features)) == (rows == 1)


def test_more_entries_than_samples():
    features = torch.eye(3, 10)
    assert covariance_effective_rank(features) == pytest.approx(2, rel=1e-6)
    assert rank_me(features) == pytest.approx(3, rel=1e-5)


def test_entropies_of_targets():
    uniform = torch.full((6, 8), 1 / 8)
    assert target_entropies(uniform) == pytest.approx((1.0, 1.0))
    one = torch.nn.functional.one_hot(torch.zeros(6, dtype=torch.long), 8).float()
    assert target_entropies(one) == pytest.approx((0.0, 0.0))
    each = torch.nn.functional.one_hot(torch.arange(8), 8).to(torch.bfloat16)
    assert target_entropies(each) == pytest.approx((1.0, 0.0))
    half = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]])
    assert target_entropies(half) == pytest.approx((1.0, 0.5))
