"""Nearest neighbours by cosine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from gigakit.data.slide_labels import Task
from gigakit.tasks.probes.knn import knn_probabilities

_TEMPERATURE = 0.07


def fit(
    features: np.ndarray,
    targets: np.ndarray,
    task: Task,
    setting: float,
    seed: int,  # noqa: ARG001
) -> Callable[[np.ndarray], np.ndarray]:
    """Keep the slides; a prediction is the mean of the nearest ones' targets.

    The mean is weighted by ``softmax(cosine / 0.07)``; of several labels the known ones count.

    Args:
        features: ``(N, D)``.
        targets: ``(N, T)``.
        task: what the targets are.
        setting: number of neighbours; all, where there are fewer.
        seed: nothing is drawn.

    Returns:
        What predicts ``(M, C)`` of ``(M, D)``.
    """
    count = int(setting)

    def votes(asked: np.ndarray) -> np.ndarray:
        numbers = torch.arange(len(features))
        found = knn_probabilities(
            torch.from_numpy(features),
            numbers,
            torch.from_numpy(asked),
            classes=len(features),
            ks=(count,),
            temperature=_TEMPERATURE,
        )
        weights: np.ndarray = found[count].numpy().astype(np.float64)
        return weights

    if task.kind == "classification":
        values = np.eye(len(task.classes))[targets[:, 0].astype(np.int64)]
        return lambda asked: votes(asked) @ values
    known = ~np.isnan(targets)
    filled = np.where(known, targets, 0.0)
    prior = filled.sum(axis=0) / np.maximum(known.sum(axis=0), 1)

    def predict(asked: np.ndarray) -> np.ndarray:
        weights = votes(asked)
        told = weights @ known
        # no neighbour's label known: the share among all
        mean: np.ndarray = np.where(told > 0, weights @ filled / np.maximum(told, 1e-12), prior)
        return mean

    return predict
