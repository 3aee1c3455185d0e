"""Linear probes: logistic regression on frozen embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.tasks.probes.labelled import LabelledFeatures

STRENGTHS = tuple(float(10.0**power) for power in range(-4, 3))
_ITERATIONS = 2000
# of a class that a fold's training tiles lack
_LEAST_PROBABILITY = 1e-6


@dataclass(frozen=True)
class LinearProbe:
    """What a linear probe says of the test tiles.

    Args:
        probabilities: ``(M, C)`` of the test tiles, in order.
        strength: the inverse regularisation that was chosen.
    """

    probabilities: np.ndarray
    strength: float


def linear_probe(data: LabelledFeatures, *, strengths: Sequence[float] = STRENGTHS) -> LinearProbe:
    """Fit a class-balanced logistic regression on standardised embeddings.

    The regularisation is the one of least log loss on the ``val`` tiles where there are any, else
    in five folds by case over ``train``; shares of right answers in rare classes are too coarse to
    choose by. The final fit is on ``train`` and ``val``; the test tiles are looked at once.

    Args:
        data: the embeddings.
        strengths: inverse regularisations to choose from; a single one is taken as it is.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    require_scikit_learn()
    strength = strengths[0]
    if len(strengths) > 1:
        losses = {strength: _validation_loss(data, strength) for strength in strengths}
        # of equals the strongest regularisation
        strength = min(sorted(losses), key=lambda value: losses[value])
    model = _fitted(data, data.part("train", "val"), strength)
    return LinearProbe(_spread(model, data, data.part("test")), strength)


def require_scikit_learn() -> None:
    """Make sure that scikit-learn is there, before hours of work that needs it.

    Raises:
        ConfigError: it is not.
    """
    try:
        import sklearn.linear_model  # noqa: F401, PLC0415
    except ImportError as error:
        raise ConfigError(
            f"scikit-learn cannot be imported: {error}",
            where="probe",
            fix="pip install 'gigakit[eval]'",
        ) from error


def _validation_loss(data: LabelledFeatures, strength: float) -> float:
    from sklearn.model_selection import GroupKFold  # noqa: PLC0415

    validation = data.part("val")
    if validation.any():
        folds = [(data.part("train"), validation)]
    else:
        train = np.flatnonzero(data.part("train"))
        groups = data.cases[train]
        splitter = GroupKFold(min(5, len(np.unique(groups))))
        folds = [
            (_mask(data, train[fit]), _mask(data, train[check]))
            for fit, check in splitter.split(train, groups=groups)
        ]
    losses = []
    for fit, check in folds:
        probabilities = _spread(_fitted(data, fit, strength), data, check)
        of_truth = probabilities[np.arange(len(probabilities)), data.labels[check]]
        losses.append(-np.log(np.maximum(of_truth, _LEAST_PROBABILITY)).mean())
    return float(np.mean(losses))


def _mask(data: LabelledFeatures, tiles: np.ndarray) -> np.ndarray:
    mask = np.zeros(len(data.labels), dtype=bool)
    mask[tiles] = True
    return mask


def fit_logistic(features: np.ndarray, labels: np.ndarray, strength: float) -> Any:
    """Return a class-balanced logistic regression on standardised features, fitted.

    Args:
        features: ``(N, D)``.
        labels: ``(N,)`` int64.
        strength: inverse regularisation.
    """
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    model = make_pipeline(
        StandardScaler(),
        LogisticRegression(C=strength, class_weight="balanced", max_iter=_ITERATIONS),
    )
    return model.fit(features, labels)


def class_probabilities(model: Any, features: np.ndarray, classes: int) -> np.ndarray:
    """Return probabilities ``(M, C)`` of a fitted model; a class it never saw has none."""
    found = model.predict_proba(features)
    spread = np.zeros((len(found), classes))
    spread[:, model.classes_] = found
    return spread


def _fitted(data: LabelledFeatures, tiles: np.ndarray, strength: float) -> Any:
    return fit_logistic(data.features[tiles], data.labels[tiles], strength)


def _spread(model: Any, data: LabelledFeatures, tiles: np.ndarray) -> np.ndarray:
    return class_probabilities(model, data.features[tiles], len(data.classes))
