"""Scores of predictions by scikit-learn and lifelines, one function a kind of task."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.data.slide_labels import Task
from gigakit.tasks.evaluation.calibration import brier, calibration_error
from gigakit.tasks.evaluation.predictions import Predictions, by_patient

_NAN = float("nan")
# of a class that training slides lack
_LEAST_PROBABILITY = 1e-6
_LIBRARIES = ("sklearn", "lifelines", "matplotlib")
# a table's columns; higher is better but for these
LOWER_IS_BETTER = ("MAE", "RMSE", "Brier", "ECE")


def scores_of(task: Task, targets: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
    """Return the scores of a task, by name; NaN where one is not defined.

    Args:
        task: decides which.
        targets: ``(N, T)``, see :class:`~gigakit.tasks.evaluation.predictions.Predictions`.
        outputs: ``(N, C)``, likewise.
    """
    return _SCORES[task.kind](task, targets, outputs)


def headline(task: Task) -> str:
    """Return the score that a choice by validation maximises."""
    return {
        "classification": "macro AUROC",
        "multi_label": "macro AUROC",
        "regression": "R2",
        "survival": "C-index",
    }[task.kind]


def validation_score(found: Predictions, unit: str) -> tuple[float, float]:
    """Return what a choice maximises: the headline, and among equals the smaller error.

    A few val patients are often ranked alike by several candidates; a val part of one class has no
    headline, for no candidate. The error then decides: Brier score, or mean absolute error.

    Args:
        found: predictions of val slides.
        unit: ``patient`` or ``slide``.
    """
    own = by_patient(found) if unit == "patient" else found
    scores = scores_of(own.task, own.targets, own.outputs)
    value = scores[headline(own.task)]
    error = scores.get("Brier", scores.get("MAE", 0.0))
    return (0.0 if np.isnan(value) else value, -error)


def validation_loss(found: Predictions, unit: str) -> float:
    """Return what a choice of regularisation minimises, since it changes smoothly with it.

    Log loss of classes and of known labels, squared error of values, one minus the C-index of
    risks; NaN where no pair of these can be compared.

    Args:
        found: predictions of val slides.
        unit: ``patient`` or ``slide``.
    """
    own = by_patient(found) if unit == "patient" else found
    if own.task.kind == "survival":
        return 1.0 - scores_of(own.task, own.targets, own.outputs)["C-index"]
    if own.task.kind == "regression":
        return float(((own.outputs - own.targets) ** 2).mean())
    if own.task.kind == "classification":
        told = own.outputs[np.arange(len(own)), own.targets[:, 0].astype(np.int64)]
    else:
        known = ~np.isnan(own.targets)
        told = np.where(own.targets == 1, own.outputs, 1.0 - own.outputs)[known]
    return float(-np.log(np.maximum(told, _LEAST_PROBABILITY)).mean())


def require_evaluation_libraries() -> None:
    """Make sure that the libraries are there, before hours of training that need them.

    Raises:
        ConfigError: one is not.
    """
    missing = [name for name in _LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"evaluation needs {', '.join(missing)}, not installed here",
            where="evaluate",
            fix="pip install 'gigakit[eval]'",
        )


def _classification(task: Task, targets: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
    """Return the scores of classes.

    Areas are of one class against the rest: macro is the mean over the classes for which it is
    defined, micro takes all pairs of slide and class together. Kappa needs grades, so it is left
    out where a class's name is no number.
    """
    from sklearn import metrics  # noqa: PLC0415

    labels, predicted = targets[:, 0].astype(np.int64), outputs.argmax(axis=1)
    found = {
        "balanced accuracy": _quiet(metrics.balanced_accuracy_score, labels, predicted),
        "accuracy": float((labels == predicted).mean()),
        "weighted F1": float(
            metrics.f1_score(labels, predicted, average="weighted", zero_division=0.0)
        ),
    }
    if task.graded:
        # one class on both sides has no chance level
        several = len(np.unique(np.concatenate([labels, predicted]))) > 1
        weighted = {"weights": "quadratic", "labels": np.arange(len(task.classes))}
        kappa = metrics.cohen_kappa_score(labels, predicted, **weighted) if several else _NAN
        found["quadratic kappa"] = float(kappa)
    truth = np.eye(len(task.classes))[labels]
    found |= _areas(task.classes, truth, outputs)
    found["Brier"] = brier(truth, outputs)
    found["ECE"] = calibration_error(labels == predicted, outputs.max(axis=1))
    return found


def _multi_label(task: Task, targets: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
    """Return the scores of several labels, each of the slides for which it is known."""
    found = _areas(task.labels, targets, outputs)
    known = ~np.isnan(targets)
    columns = [known[:, column] for column in range(len(task.labels))]
    found["Brier"] = _mean(
        [
            float(((outputs[k, i] - targets[k, i]) ** 2).mean())
            for i, k in enumerate(columns)
            if k.any()
        ]
    )
    found["ECE"] = _mean(
        [
            calibration_error(targets[k, i] == 1, outputs[k, i])
            for i, k in enumerate(columns)
            if k.any()
        ]
    )
    return found


def _regression(task: Task, targets: np.ndarray, outputs: np.ndarray) -> dict[str, float]:  # noqa: ARG001
    from sklearn import metrics  # noqa: PLC0415

    truth, value = targets[:, 0], outputs[:, 0]
    varied = len(truth) > 1 and bool(np.ptp(truth) > 0)
    both = varied and bool(np.ptp(value) > 0)
    return {
        "R2": float(metrics.r2_score(truth, value)) if varied else _NAN,
        "Pearson": float(np.corrcoef(truth, value)[0, 1]) if both else _NAN,
        "MAE": float(np.abs(truth - value).mean()),
        "RMSE": float(((truth - value) ** 2).mean() ** 0.5),
    }


def _survival(task: Task, targets: np.ndarray, outputs: np.ndarray) -> dict[str, float]:  # noqa: ARG001
    from lifelines.utils import concordance_index  # noqa: PLC0415

    times, event = targets[:, 0], targets[:, 1]
    # a pair can be compared where the earlier of the two was observed
    comparable = bool(((times[:, None] < times[None, :]) & (event[:, None] == 1)).any())
    index = concordance_index(times, -outputs[:, 0], event) if comparable else _NAN
    return {"C-index": float(index)}


def _areas(names: Sequence[str], truth: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
    """Return areas under ROC and precision-recall curves: macro, micro and of each name."""
    from sklearn.metrics import average_precision_score, roc_auc_score  # noqa: PLC0415

    found: dict[str, float] = {}
    known = ~np.isnan(truth)
    for title, area in (("AUROC", roc_auc_score), ("AUPRC", average_precision_score)):
        each = [
            _area(area, truth[known[:, i], i], outputs[known[:, i], i]) for i in range(len(names))
        ]
        found[f"macro {title}"] = _mean([value for value in each if not np.isnan(value)])
        found[f"micro {title}"] = _area(area, truth[known], outputs[known])
        found |= {f"{title} {name}": value for name, value in zip(names, each, strict=True)}
    return found


def _area(area: Callable[..., float], truth: np.ndarray, values: np.ndarray) -> float:
    return float(area(truth, values)) if 0 < truth.sum() < len(truth) else _NAN


def _quiet(score: Callable[..., float], labels: np.ndarray, predicted: np.ndarray) -> float:
    with warnings.catch_warnings():
        # a draw may lack a class that is predicted, or hold one alone
        warnings.filterwarnings("ignore", message="y_pred contains classes not in y_true")
        warnings.filterwarnings("ignore", message="A single label was found")
        return float(score(labels, predicted))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else _NAN


_SCORES: dict[str, Callable[[Task, np.ndarray, np.ndarray], dict[str, float]]] = {
    "classification": _classification,
    "multi_label": _multi_label,
    "regression": _regression,
    "survival": _survival,
}
