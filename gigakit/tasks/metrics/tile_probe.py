"""What a tile encoder in training is worth on labelled tiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from mmengine.evaluator import BaseMetric

from gigakit.core.errors import ConfigError
from gigakit.registry import METRICS
from gigakit.ssl.health import rank_me
from gigakit.tasks.probes.labelled import LabelledFeatures
from gigakit.tasks.probes.linear import linear_probe, require_scikit_learn
from gigakit.tasks.probes.probe import REPORTED_NEIGHBOURS, neighbour_votes
from gigakit.tasks.probes.scores import scores


@METRICS.register_module()
class TileProbe(BaseMetric):
    """Neighbours' votes, and perhaps a linear probe, on the predicted embeddings of labelled tiles.

    Logged are ``probe/knn_accuracy``, ``probe/knn_balanced_accuracy``, ``probe/rankme`` (of all
    embeddings, not centred) and, with ``linear``, ``probe/linear_balanced_accuracy`` and
    ``probe/linear_macro_auroc``. What is not defined, such as the area of a single class, is left
    out.

    Args:
        test: the split that scores are of; train alone is learnt from. The test split is for
            ``gigakit probe`` at the end: looked at in training, it chooses the checkpoint.
        linear: fit a logistic regression too, which takes seconds.
        strength: its inverse regularisation, of features scaled to deviation 1; ``None`` chooses
            from seven by five folds over cases, which takes 36 times as long.

    Raises:
        ConfigError: scikit-learn is needed and not installed.

    Source: DINOv2, eval/knn.py; see :mod:`gigakit.tasks.probes`.
    """

    default_prefix = None

    def __init__(
        self,
        *,
        test: Literal["val", "test"] = "val",
        linear: bool = False,
        strength: float | None = 0.01,
    ) -> None:
        if test not in ("val", "test"):
            raise ConfigError(f"got '{test}'", where="TileProbe.test", fix="choose val or test")
        if linear:
            require_scikit_learn()
        # what mmengine calls gpu is the processes' own exchange; cpu leaves files where the user is
        super().__init__(collect_device="gpu", prefix="probe")
        self.test, self.linear, self.strength = test, linear, strength

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:  # noqa: ARG002
        """Keep each tile's embedding: ``features`` (D,), ``label``, ``case`` and ``split``."""
        for sample in data_samples:
            features = sample["features"].float().cpu().numpy()
            place = (int(sample["label"]), str(sample["case"]), str(sample["split"]))
            # several ranks count the results to tell which tiles they share
            self.results.append((features, *place))

    def compute_metrics(self, results: list[tuple[np.ndarray, int, str, str]]) -> dict[str, float]:
        """Return the numbers.

        Raises:
            ConfigError: the tiles of a split are missing, or training has one class.
        """
        used = [one for one in results if one[3] in ("train", self.test)]
        if not used:
            raise ConfigError(f"no tile is in split 'train' or '{self.test}'", where="TileProbe")
        features, labels, cases, splits = (list(column) for column in zip(*used, strict=True))
        data = LabelledFeatures(
            np.stack(features).astype(np.float32),
            np.array(labels, dtype=np.int64),
            tuple(str(number) for number in range(max(labels) + 1)),
            np.array(cases, dtype=np.str_),
            # probes score the split 'test', whichever it is here
            np.array(["train" if split == "train" else "test" for split in splits], dtype=np.str_),
        )
        truth = data.labels[data.part("test")]
        votes = neighbour_votes(data, [REPORTED_NEIGHBOURS])[REPORTED_NEIGHBOURS]
        found = scores(truth, votes)
        metrics = {
            "knn_accuracy": found["accuracy"],
            "knn_balanced_accuracy": found["balanced accuracy"],
            "rankme": rank_me(torch.from_numpy(data.features)),
        }
        if self.linear:
            strengths = {} if self.strength is None else {"strengths": (self.strength,)}
            found = scores(truth, linear_probe(data, **strengths).probabilities)
            metrics["linear_balanced_accuracy"] = found["balanced accuracy"]
            metrics["linear_macro_auroc"] = found["macro AUROC"]
        return {name: value for name, value in metrics.items() if math.isfinite(value)}
