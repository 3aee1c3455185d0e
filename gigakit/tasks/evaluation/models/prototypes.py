"""The nearest class mean, for few shots."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gigakit.data.slide_labels import Task


def fit(
    features: np.ndarray,
    targets: np.ndarray,
    task: Task,
    setting: float,
    seed: int,  # noqa: ARG001
) -> Callable[[np.ndarray], np.ndarray]:
    """Take the mean of each class of centred vectors of length 1.

    Probabilities are ``softmax(-|x - mean|² / temperature)``.

    Args:
        features: ``(N, D)``.
        targets: ``(N, 1)``, numbers of classes.
        task: a classification.
        setting: the temperature.
        seed: nothing is drawn.

    Returns:
        What predicts ``(M, C)`` of ``(M, D)``; a class without training slides has none.

    Source: Wang et al. 2019, SimpleShot (CL2N).
    """
    centre = features.mean(axis=0, dtype=np.float64)

    def normed(vectors: np.ndarray) -> np.ndarray:
        moved = vectors - centre
        length_1: np.ndarray = moved / np.maximum(
            np.linalg.norm(moved, axis=1, keepdims=True), 1e-12
        )
        return length_1

    labels, own = targets[:, 0].astype(np.int64), normed(features)
    present = np.unique(labels)
    means = np.stack([own[labels == label].mean(axis=0) for label in present])

    def predict(asked: np.ndarray) -> np.ndarray:
        distance = ((normed(asked)[:, None, :] - means[None]) ** 2).sum(axis=2)
        scores = np.exp(-(distance - distance.min(axis=1, keepdims=True)) / setting)
        found = np.zeros((len(asked), len(task.classes)))
        found[:, present] = scores / scores.sum(axis=1, keepdims=True)
        return found

    return predict
