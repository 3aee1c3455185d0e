"""The scores of many draws at once: a draw weighs each row by how often it holds it.

They are those of :mod:`gigakit.tasks.evaluation.scores`, which take scikit-learn 20 ms a draw:
here values are sorted once for all draws, and the rest is sums (tests hold both to be equal).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gigakit.data.slide_labels import Task
from gigakit.tasks.evaluation.calibration import BINS

Scores = dict[str, np.ndarray]
_PAIR_ROWS = 512


def draw_scores(task: Task, targets: np.ndarray, outputs: np.ndarray, counts: np.ndarray) -> Scores:
    """Return each score of each draw ``(B,)``, NaN where it is not defined.

    Args:
        task: decides which scores.
        targets: ``(N, T)``.
        outputs: ``(N, C)``.
        counts: ``(B, N)``, how often a row is in a draw; a draw of none has no score.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return _SCORES[task.kind](task, targets, outputs, counts)


def _classification(
    task: Task, targets: np.ndarray, outputs: np.ndarray, counts: np.ndarray
) -> Scores:
    classes = len(task.classes)
    labels, predicted = targets[:, 0].astype(np.int64), outputs.argmax(axis=1)
    cells = np.eye(classes * classes)[labels * classes + predicted]
    confusion = (counts @ cells).reshape(-1, classes, classes)
    right = np.einsum("bii->bi", confusion)
    actual, told = confusion.sum(axis=2), confusion.sum(axis=1)
    total = actual.sum(axis=1)
    recall = np.where(actual > 0, right / actual, np.nan)
    overlap = np.where(actual + told > 0, 2 * right / (actual + told), 0.0)
    found = {
        "balanced accuracy": _mean_of_defined(recall),
        "accuracy": right.sum(axis=1) / total,
        "weighted F1": (overlap * actual).sum(axis=1) / total,
    }
    if task.graded:
        distance = (np.arange(classes)[:, None] - np.arange(classes)[None, :]) ** 2
        expected = actual[:, :, None] * told[:, None, :] / total[:, None, None]
        chance = (distance * expected).sum(axis=(1, 2))
        apart = (distance * confusion).sum(axis=(1, 2))
        found["quadratic kappa"] = np.where(chance > 0, 1 - apart / chance, np.nan)
    truth = np.eye(classes)[labels]
    found |= _areas(task.classes, truth, outputs, counts)
    found["Brier"] = counts @ ((outputs - truth) ** 2).sum(axis=1) / total
    found["ECE"] = _calibration_error(labels == predicted, outputs.max(axis=1), counts)
    return found


def _multi_label(
    task: Task, targets: np.ndarray, outputs: np.ndarray, counts: np.ndarray
) -> Scores:
    known = ~np.isnan(targets)
    found = _areas(task.labels, targets, outputs, counts)
    errors, gaps = [], []
    for column in range(targets.shape[1]):
        rows = known[:, column]
        truth, value, own = targets[rows, column], outputs[rows, column], counts[:, rows]
        errors.append(own @ (value - truth) ** 2 / own.sum(axis=1))
        gaps.append(_calibration_error(truth == 1, value, own))
    found["Brier"] = _mean_of_defined(np.stack(errors, axis=1))
    found["ECE"] = _mean_of_defined(np.stack(gaps, axis=1))
    return found


def _regression(
    task: Task,  # noqa: ARG001
    targets: np.ndarray,
    outputs: np.ndarray,
    counts: np.ndarray,
) -> Scores:
    truth, value = targets[:, 0], outputs[:, 0]
    total = counts.sum(axis=1)

    def centred(one: np.ndarray) -> np.ndarray:
        deviation: np.ndarray = one[None, :] - (counts @ one / total)[:, None]
        return deviation

    def spread(one: np.ndarray) -> np.ndarray:
        drawn = np.where(counts > 0, one[None, :], np.nan)
        varied: np.ndarray = np.fmax.reduce(drawn, axis=1) > np.fmin.reduce(drawn, axis=1)
        return varied

    squares = counts @ (truth - value) ** 2
    a, b = centred(truth), centred(value)
    variance = (counts * a**2).sum(axis=1)
    together = (counts * a * b).sum(axis=1) / np.sqrt(variance * (counts * b**2).sum(axis=1))
    return {
        "R2": np.where(spread(truth), 1 - squares / variance, np.nan),
        "Pearson": np.where(spread(truth) & spread(value), together, np.nan),
        "MAE": counts @ np.abs(truth - value) / total,
        "RMSE": np.sqrt(squares / total),
    }


def _survival(
    task: Task,  # noqa: ARG001
    targets: np.ndarray,
    outputs: np.ndarray,
    counts: np.ndarray,
) -> Scores:
    times, event, risk = targets[:, 0], targets[:, 1] == 1, outputs[:, 0]
    right, comparable = np.zeros(len(counts)), np.zeros(len(counts))
    for start in range(0, len(times), _PAIR_ROWS):
        rows = slice(start, start + _PAIR_ROWS)
        earlier = times[rows, None] < times[None, :]
        earlier |= (times[rows, None] == times[None, :]) & ~event[None, :]
        pairs = (earlier & event[rows, None]).astype(np.float64)
        ahead = (risk[rows, None] > risk[None, :]) + 0.5 * (risk[rows, None] == risk[None, :])
        comparable += (counts[:, rows] * (counts @ pairs.T)).sum(axis=1)
        right += (counts[:, rows] * (counts @ (pairs * ahead).T)).sum(axis=1)
    return {"C-index": right / comparable}


def _areas(
    names: Sequence[str], truth: np.ndarray, outputs: np.ndarray, counts: np.ndarray
) -> Scores:
    known = ~np.isnan(truth)
    each = [
        _curve_areas(truth[known[:, i], i], outputs[known[:, i], i], counts[:, known[:, i]])
        for i in range(len(names))
    ]
    slides = np.nonzero(known)[0]
    micro = _curve_areas(truth[known], outputs[known], counts[:, slides])
    found: Scores = {}
    for place, title in enumerate(("AUROC", "AUPRC")):
        found[f"macro {title}"] = _mean_of_defined(np.stack([one[place] for one in each], axis=1))
        found[f"micro {title}"] = micro[place]
        found |= {f"{title} {name}": one[place] for name, one in zip(names, each, strict=True)}
    return found


def _curve_areas(
    truth: np.ndarray, values: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the areas under the ROC and the precision-recall curve of each draw, ``(B,)``."""
    order = np.argsort(-values, kind="stable")
    ordered = values[order]
    # equal values are one threshold
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    positive = np.add.reduceat(counts[:, order] * (truth[order] == 1), starts, axis=1)
    negative = np.add.reduceat(counts[:, order] * (truth[order] == 0), starts, axis=1)
    hits, alarms = positive.cumsum(axis=1), negative.cumsum(axis=1)
    ones, zeros = hits[:, -1], alarms[:, -1]
    # of the negatives, those below a threshold and half of those at it
    below = zeros[:, None] - alarms + negative / 2
    roc = (positive * below).sum(axis=1) / (ones * zeros)
    precision = np.where(hits + alarms > 0, hits / (hits + alarms), 0.0)
    recall = np.where(zeros > 0, (positive * precision).sum(axis=1) / ones, np.nan)
    return roc, recall


def _calibration_error(right: np.ndarray, confidence: np.ndarray, counts: np.ndarray) -> np.ndarray:
    bins = np.eye(BINS)[np.clip((confidence * BINS).astype(np.int64), 0, BINS - 1)]
    gaps = np.abs(counts @ (bins * (right - confidence)[:, None])).sum(axis=1)
    error: np.ndarray = gaps / counts.sum(axis=1)
    return error


def _mean_of_defined(values: np.ndarray) -> np.ndarray:
    """Return the mean ``(B,)`` over the columns that are not NaN."""
    defined = ~np.isnan(values)
    mean: np.ndarray = np.where(defined, values, 0.0).sum(axis=1) / defined.sum(axis=1)
    return mean


_SCORES: dict[str, Callable[[Task, np.ndarray, np.ndarray, np.ndarray], Scores]] = {
    "classification": _classification,
    "multi_label": _multi_label,
    "regression": _regression,
    "survival": _survival,
}
