"""How well hidden tile embeddings are predicted, beside what needs no training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from gigakit.registry import METRICS

_PREDICTORS = ("model", "mean", "nearest")


@METRICS.register_module()
class MaskedReconstruction(BaseMetric):
    """R² and cosine on the raw embeddings of hidden tiles, for the model and two baselines.

    The masks come with the batch, so all cells of an ablation are asked the same questions. With
    ``M`` the hidden tiles of all slides, ``x`` true and ``p`` predicted embeddings::

        R²      1 - sum over M |p - x|² / sum over M |x - mean over M (x)|²
        cosine  mean over M of <p, x> / (|p| |x|)

    Baselines: ``mean`` predicts the mean embedding of the slide's visible tiles, ``nearest`` the
    embedding of the visible tile at the smallest distance on the grid (the first of equals).
    R² is NaN-free: it is 0 where the hidden tiles do not vary.
    """

    default_prefix = None

    def __init__(self) -> None:
        # what mmengine calls gpu is the processes' own exchange; cpu leaves files where the user is
        super().__init__(collect_device="gpu", prefix="reconstruction")

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:  # noqa: ARG002
        """Add the sums of each slide: enough for the metrics, whatever the cohort's size."""
        for sample in data_samples:
            mask = sample["token_mask"].cpu().numpy()
            if not mask.any():
                # several ranks count the results to tell which slides they share
                self.results.append(None)
                continue
            true = sample["features"].cpu().numpy().astype(np.float64)
            grid = sample["grid"].cpu().numpy()
            predicted = {
                "model": sample["prediction"].float().cpu().numpy().astype(np.float64)[mask],
                "mean": np.broadcast_to(true[~mask].mean(axis=0), true[mask].shape),
                "nearest": true[~mask][_nearest(grid[mask], grid[~mask])],
            }
            self.results.append(_sums(true[mask], predicted))

    def compute_metrics(self, results: list[dict[str, Any] | None]) -> dict[str, float]:
        """Return ``r2``, ``cosine`` and both of each baseline, with the number of hidden tiles."""
        slides = [entry for entry in results if entry is not None]
        count = sum(entry["count"] for entry in slides)
        if count == 0:
            return {"hidden_tiles": 0.0}
        mean = sum(entry["sum"] for entry in slides) / count
        total = sum(entry["sum_of_squares"] for entry in slides) - count * float(mean @ mean)
        metrics: dict[str, float] = {"hidden_tiles": float(count)}
        for name in _PREDICTORS:
            suffix = "" if name == "model" else f"_{name}"
            error = sum(entry["error"][name] for entry in slides)
            metrics[f"r2{suffix}"] = 1.0 - error / total if total > 0 else 0.0
            metrics[f"cosine{suffix}"] = sum(entry["cosine"][name] for entry in slides) / count
        return metrics


def _sums(true: np.ndarray, predicted: dict[str, np.ndarray]) -> dict[str, Any]:
    return {
        "count": len(true),
        "sum": true.sum(axis=0),
        "sum_of_squares": float((true**2).sum()),
        "error": {name: float(((p - true) ** 2).sum()) for name, p in predicted.items()},
        "cosine": {name: float(_cosine(p, true).sum()) for name, p in predicted.items()},
    }


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine: np.ndarray = (a * b).sum(axis=1) / np.maximum(lengths, 1e-12)
    return cosine


def _nearest(hidden: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Return for each hidden position the index of the nearest visible one, in blocks."""
    index = np.empty(len(hidden), dtype=np.int64)
    # at most about 2^24 distances at once, so that 70,000 tiles need no 39 GB
    block = max(1, 2**24 // max(len(visible), 1))
    for start in range(0, len(hidden), block):
        rows = hidden[start : start + block]
        squared = ((rows[:, None, :] - visible[None, :, :]) ** 2).sum(axis=2)
        index[start : start + block] = squared.argmin(axis=1)
    return index
