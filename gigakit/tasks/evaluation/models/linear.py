"""Logistic regression of classes and labels, ridge regression of values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gigakit.data.slide_labels import Task
from gigakit.tasks.probes.linear import class_probabilities, fit_logistic


def fit(
    features: np.ndarray,
    targets: np.ndarray,
    task: Task,
    setting: float,
    seed: int,  # noqa: ARG001
) -> Callable[[np.ndarray], np.ndarray]:
    """Fit on standardised features.

    Args:
        features: ``(N, D)``.
        targets: ``(N, T)``; unknown labels are left out, each for itself.
        task: what the targets are.
        setting: inverse regularisation.
        seed: nothing is drawn.

    Returns:
        What predicts ``(M, C)`` of ``(M, D)``.
    """
    if task.kind == "regression":
        return _ridge(features, targets[:, 0], setting)
    if task.kind == "classification":
        model = fit_logistic(features, targets[:, 0].astype(np.int64), setting)
        return lambda asked: class_probabilities(model, asked, len(task.classes))
    each = [_label(features, targets[:, column], setting) for column in range(targets.shape[1])]
    return lambda asked: np.stack([predict(asked) for predict in each], axis=1)


def _label(
    features: np.ndarray, labels: np.ndarray, strength: float
) -> Callable[[np.ndarray], np.ndarray]:
    known = ~np.isnan(labels)
    values = labels[known].astype(np.int64)
    if len(np.unique(values)) < 2:  # noqa: PLR2004
        # nothing to learn from one side: its share, the same for all
        share = float(values.mean()) if len(values) else 0.5
        return lambda asked: np.full(len(asked), share)
    model = fit_logistic(features[known], values, strength)
    return lambda asked: class_probabilities(model, asked, 2)[:, 1]


def _ridge(
    features: np.ndarray, values: np.ndarray, strength: float
) -> Callable[[np.ndarray], np.ndarray]:
    from sklearn.linear_model import Ridge  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    model = make_pipeline(StandardScaler(), Ridge(alpha=1.0 / strength)).fit(features, values)
    return lambda asked: model.predict(asked).reshape(-1, 1)
