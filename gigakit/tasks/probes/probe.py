"""Probing one encoder: linear, by neighbours, and without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from gigakit.ssl.health import (
    covariance_effective_rank,
    feature_std,
    mean_pairwise_cosine,
    rank_me,
    spectrum_slope,
)
from gigakit.tasks.evaluation.bootstrap import Score
from gigakit.tasks.probes.knn import knn_probabilities
from gigakit.tasks.probes.labelled import LabelledFeatures
from gigakit.tasks.probes.linear import linear_probe
from gigakit.tasks.probes.scores import differences, scores, scores_with_intervals

NEIGHBOURS = (10, 20, 100, 200)
REPORTED_NEIGHBOURS = 20
# a singular value decomposition of more takes minutes; RankMe's authors advise as many
_LARGEST_SAMPLE = 25_600
_BLOCK = 1024


@dataclass(frozen=True)
class ProbeResult:
    """What one encoder's embeddings are worth.

    Args:
        name: the encoder.
        data: its embeddings.
        probabilities: ``(M, C)`` of the test tiles, by ``linear`` and by ``knn``.
        strength: inverse regularisation that validation chose.
        linear: scores of the linear probe.
        knn: scores of the weighted 20 nearest neighbours.
        by_neighbours: scores by number of neighbours, without intervals.
        health: numbers that need no labels.
        confusion: ``(C, C)`` test tiles by class (down) and prediction of the linear probe.
        difference: scores of the linear probe minus those of the first encoder.
        facts: what else is known, such as seconds.
    """

    name: str
    data: LabelledFeatures
    probabilities: dict[str, np.ndarray]
    strength: float
    linear: dict[str, Score]
    knn: dict[str, Score]
    by_neighbours: dict[int, dict[str, float]]
    health: dict[str, float]
    confusion: np.ndarray
    difference: dict[str, Score] | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def probe_features(
    name: str,
    data: LabelledFeatures,
    *,
    first: ProbeResult | None = None,
    seed: int = 0,
    facts: Mapping[str, Any] | None = None,
) -> ProbeResult:
    """Probe the embeddings of one encoder.

    Neighbours are looked for among the train and val tiles, which the linear probe's last fit has
    seen too. Intervals are over cases.

    Args:
        name: the encoder.
        data: its embeddings.
        first: the encoder that it is compared with, on the same test tiles.
        seed: of the bootstrap.
        facts: kept with the result.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    test = data.part("test")
    labels, cases = data.labels[test], data.cases[test]
    linear = linear_probe(data)
    votes = neighbour_votes(data, NEIGHBOURS)
    knn = votes[REPORTED_NEIGHBOURS]
    confusion = np.zeros((len(data.classes), len(data.classes)), dtype=np.int64)
    np.add.at(confusion, (labels, linear.probabilities.argmax(axis=1)), 1)
    difference = None
    if first is not None:
        difference = differences(
            labels, linear.probabilities, first.probabilities["linear"], cases, seed=seed
        )
    return ProbeResult(
        name=name,
        data=data,
        probabilities={"linear": linear.probabilities, "knn": knn},
        strength=linear.strength,
        linear=scores_with_intervals(labels, linear.probabilities, cases, seed=seed),
        knn=scores_with_intervals(labels, knn, cases, seed=seed),
        by_neighbours={k: scores(labels, one) for k, one in votes.items()},
        health=health(data.features),
        confusion=confusion,
        difference=difference,
        facts=dict(facts or {}),
    )


def neighbour_votes(data: LabelledFeatures, ks: Sequence[int]) -> dict[int, np.ndarray]:
    """Return the votes ``(M, C)`` of each number of neighbours for the test tiles."""
    known = data.part("train", "val")
    features = torch.from_numpy(data.features)
    train, labels = features[known], torch.from_numpy(data.labels[known])
    blocks = [
        knn_probabilities(train, labels, block, classes=len(data.classes), ks=ks)
        for block in torch.split(features[data.part("test")], _BLOCK)
    ]
    return {k: torch.cat([block[k] for block in blocks]).numpy() for k in ks}


def health(features: np.ndarray) -> dict[str, float]:
    """Return what tells a collapsed representation without labels; see :mod:`gigakit.ssl.health`.

    Of more than 25,600 tiles as many are taken, evenly over their order.

    Args:
        features: ``(N, D)``.
    """
    every = -(-len(features) // _LARGEST_SAMPLE)
    some = torch.from_numpy(features[::every])
    return {
        "RankMe": rank_me(some),
        "alpha-ReQ": spectrum_slope(some),
        "effective rank": covariance_effective_rank(some),
        "mean cosine": mean_pairwise_cosine(some),
        "feature std": float(feature_std(some).mean()) * features.shape[1] ** 0.5,
    }
