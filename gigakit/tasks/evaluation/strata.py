"""Strata of patients: what a split keeps alike in its parts."""

from __future__ import annotations

import numpy as np

from gigakit.data.slide_labels import SlideLabels

_BINS = 4


def patient_strata(data: SlideLabels, folds: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the patients' names ``(P,)`` and strata ``(P,)`` int64.

    A patient's stratum is that of most of its slides, the first of equals. Strata are classes;
    quarters of a value; quarters of the time among observed and among censored; and of several
    labels the pattern, where patterns of fewer patients than ``folds`` are told apart by their
    number of positives alone.

    Args:
        data: the slides.
        folds: the parts that a stratum is dealt to.
    """
    names, index = np.unique(data.patients, return_inverse=True)
    strata = _slide_strata(data)
    counts = np.zeros((len(names), int(strata.max()) + 1), dtype=np.int64)
    np.add.at(counts, (index, strata), 1)
    chosen = counts.argmax(axis=1)
    if data.task.kind != "multi_label":
        return names, chosen
    sizes = np.bincount(chosen)[chosen]
    positives = np.array([np.nansum(data.targets[data.patients == name][0]) for name in names])
    return names, np.where(sizes < folds, strata.max() + 1 + positives.astype(np.int64), chosen)


def _slide_strata(data: SlideLabels) -> np.ndarray:
    targets = data.targets
    if data.task.kind == "classification":
        return targets[:, 0].astype(np.int64)
    if data.task.kind == "regression":
        return _quarter(targets[:, 0])
    if data.task.kind == "survival":
        event = targets[:, 1].astype(np.int64)
        strata = event * _BINS
        for value in np.unique(event):
            strata[event == value] += _quarter(targets[event == value, 0])
        return strata
    # an unknown label counts as a third value
    patterns = np.unique(np.nan_to_num(targets, nan=2.0), axis=0, return_inverse=True)[1]
    return patterns.reshape(-1).astype(np.int64)


def _quarter(values: np.ndarray) -> np.ndarray:
    edges = np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1])
    return np.searchsorted(edges, values, side="right").astype(np.int64)
