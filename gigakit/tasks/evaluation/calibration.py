"""Calibration: whether predictions of 80 % are right four times in five."""

from __future__ import annotations

import numpy as np

BINS = 10


def brier(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the Brier score: the mean over slides of the squared errors, summed over the classes.

    It is between 0 and 2; for two classes twice that of the positive class alone.

    Args:
        truth: ``(N, C)`` 0 or 1.
        probabilities: ``(N, C)``.
    """
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def calibration_error(right: np.ndarray, confidence: np.ndarray, *, bins: int = BINS) -> float:
    """Return the expected calibration error over bins of equal width.

    ::

        sum over bins b of  |b| / N * | mean of right in b - mean of confidence in b |

    Args:
        right: ``(N,)`` bool: the predicted class is the true one, or the label is positive.
        confidence: ``(N,)`` of the predicted class, or of the label, in 0..1.
        bins: of equal width over 0..1, a border belonging to the bin above it.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, eq. 5.
    """
    counts, sums, confidences = _binned(right, confidence, bins)
    return float(np.abs(sums - confidences).sum() / counts.sum())


def reliability(
    right: np.ndarray, confidence: np.ndarray, *, bins: int = BINS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the bins that hold something: mean confidence, share that is right, and count."""
    counts, sums, confidences = _binned(right, confidence, bins)
    held = counts > 0
    return confidences[held] / counts[held], sums[held] / counts[held], counts[held]


def _binned(
    right: np.ndarray, confidence: np.ndarray, bins: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    place = np.clip((confidence * bins).astype(np.int64), 0, bins - 1)
    return (
        np.bincount(place, minlength=bins),
        np.bincount(place, weights=right.astype(np.float64), minlength=bins),
        np.bincount(place, weights=confidence, minlength=bins),
    )
