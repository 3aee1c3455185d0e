"""How well slides' labels are predicted: numbers to follow a run by and to select a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from mmengine.evaluator import BaseMetric

from gigakit.core.errors import ConfigError
from gigakit.registry import METRICS

Numbers = dict[str, float]


@METRICS.register_module()
class SlideScores(BaseMetric):
    """Scores of the predictions of ``SlidePrediction``, by patient or by slide.

    - ``classification``: ``accuracy``, ``balanced_accuracy``, ``macro_auroc`` and ``macro_auprc``
      (each class against the rest), ``quadratic_kappa``, ``cross_entropy``;
    - ``multi_label``: ``macro_auroc``, ``micro_auroc``, ``macro_auprc``, ``micro_auprc``,
      ``cross_entropy``, of known labels;
    - ``regression``: ``mae``, ``r2``;
    - ``survival``: ``c_index``.

    All have the prefix ``slides/``. What is not defined, such as the area of a class that is not
    there, is left out of means, and out of the scores where nothing is left.

    Args:
        by: ``patient``: predictions of a patient's slides are averaged first, and the first slide's
            label counts; or ``slide``.

    Raises:
        ConfigError: another ``by``, or a library that is needed is not installed.
    """

    default_prefix = None

    def __init__(self, *, by: Literal["patient", "slide"] = "patient") -> None:
        if by not in ("patient", "slide"):
            raise ConfigError(f"got '{by}'", where="SlideScores.by", fix="give patient or slide")
        require_scores()
        # what mmengine calls gpu is the processes' own exchange; cpu leaves files where the user is
        super().__init__(collect_device="gpu", prefix="slides")
        self.by = by

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:  # noqa: ARG002
        """Keep each slide's prediction and label."""
        for sample in data_samples:
            kind = sample["kind"]
            told = sample[_PREDICTION[kind]].float().cpu().numpy().astype(np.float64)
            label = np.atleast_1d(sample["label"].cpu().numpy().astype(np.float64))
            name = sample["patient_id" if self.by == "patient" else "slide_id"]
            self.results.append((kind, name, told, label))

    def compute_metrics(
        self, results: list[tuple[str, str, np.ndarray, np.ndarray]]
    ) -> dict[str, float]:
        """Return the scores."""
        if not results:
            return {}
        grouped: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        for _, name, told, label in results:
            grouped.setdefault(name, []).append((told, label))
        told = np.stack([np.mean([one for one, _ in group], axis=0) for group in grouped.values()])
        labels = np.stack([group[0][1] for group in grouped.values()])
        found = _SCORES[results[0][0]](told, labels)
        return {name: value for name, value in found.items() if math.isfinite(value)}


def require_scores() -> None:
    """Refuse to go on without scikit-learn.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import sklearn.metrics  # noqa: F401, PLC0415
    except ImportError as error:
        raise ConfigError(
            "scikit-learn is not installed",
            where="SlideScores",
            fix="pip install 'gigakit[eval]', or set val_evaluator and test_evaluator to null",
        ) from error


def _classification(told: np.ndarray, labels: np.ndarray) -> Numbers:
    from sklearn import metrics  # noqa: PLC0415

    truth, choice = labels[:, 0].astype(np.int64), told.argmax(axis=1)
    present = np.unique(truth)
    own = told[np.arange(len(truth)), truth]
    kappa = math.nan
    if len(np.unique(np.concatenate([truth, choice]))) > 1:
        kappa = metrics.cohen_kappa_score(truth, choice, weights="quadratic")
    one_hot = truth[:, None] == np.arange(told.shape[1])[None, :]
    return {
        "accuracy": float((truth == choice).mean()),
        "balanced_accuracy": float(np.mean([(choice[truth == c] == c).mean() for c in present])),
        "macro_auroc": _macro(metrics.roc_auc_score, one_hot, told),
        "macro_auprc": _macro(metrics.average_precision_score, one_hot, told),
        "quadratic_kappa": float(kappa),
        "cross_entropy": float(-np.log(np.maximum(own, 1e-12)).mean()),
    }


def _multi_label(told: np.ndarray, labels: np.ndarray) -> Numbers:
    from sklearn import metrics  # noqa: PLC0415

    known = ~np.isnan(labels)
    flat = (labels[known][:, None] > 0, told[known][:, None])
    chance = np.clip(np.where(labels > 0, told, 1 - told)[known], 1e-12, None)
    return {
        "macro_auroc": _macro(metrics.roc_auc_score, labels, told),
        "micro_auroc": _macro(metrics.roc_auc_score, *flat),
        "macro_auprc": _macro(metrics.average_precision_score, labels, told),
        "micro_auprc": _macro(metrics.average_precision_score, *flat),
        "cross_entropy": float(-np.log(chance).mean()) if known.any() else math.nan,
    }


def _regression(told: np.ndarray, labels: np.ndarray) -> Numbers:
    error = told[:, 0] - labels[:, 0]
    spread = ((labels[:, 0] - labels[:, 0].mean()) ** 2).sum()
    r2 = 1.0 - float((error**2).sum() / spread) if spread > 0 else math.nan
    return {"mae": float(np.abs(error).mean()), "r2": r2}


def _survival(told: np.ndarray, labels: np.ndarray) -> Numbers:
    return {"c_index": concordance(told[:, 0], labels[:, 0], labels[:, 1])}


def concordance(risk: np.ndarray, time: np.ndarray, event: np.ndarray) -> float:
    """Return Harrell's C: the share of comparable pairs in which the higher risk dies first.

    A pair is comparable where the shorter time ends in an event, or where times are equal and one
    alone does. Equal risks count half; NaN where no pair is comparable.

    Args:
        risk: ``(N,)``.
        time: ``(N,)``.
        event: ``(N,)``, 1 = observed, 0 = censored.
    """
    earlier = (time[:, None] < time) | ((time[:, None] == time) & (event < 1))
    comparable = earlier & (event[:, None] > 0)
    ahead = np.sign(risk[:, None] - risk)[comparable]
    return float((ahead + 1).mean() / 2) if len(ahead) else math.nan


def _macro(score: Callable[..., float], truth: np.ndarray, told: np.ndarray) -> float:
    """Return the mean score of the columns that have both answers among what is known."""
    values = []
    for column in range(told.shape[1]):
        answer = truth[:, column].astype(np.float64)
        known = ~np.isnan(answer)
        if len(np.unique(answer[known])) > 1:
            values.append(float(score(answer[known], told[known, column])))
    return float(np.mean(values)) if values else math.nan


_PREDICTION = {
    "classification": "probability",
    "multi_label": "probability",
    "regression": "value",
    "survival": "risk",
}
_SCORES: dict[str, Callable[[np.ndarray, np.ndarray], Numbers]] = {
    "classification": _classification,
    "multi_label": _multi_label,
    "regression": _regression,
    "survival": _survival,
}
