"""Frozen probes of slide vectors: simple models, whose few settings inner validation chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.data.slide_labels import SlideLabels, Task
from gigakit.tasks.evaluation.evaluation import FoldResult, Unit
from gigakit.tasks.evaluation.models import cox, linear, neighbours, prototypes, published_linear
from gigakit.tasks.evaluation.predictions import Predictions
from gigakit.tasks.evaluation.scores import validation_loss
from gigakit.tasks.evaluation.splits import Split, cross_validation

# the slides that are learnt from, and those that are asked about
Places = tuple[np.ndarray, np.ndarray]
# fits on (features, targets, task, setting, seed) and returns what predicts
Fit = Callable[[np.ndarray, np.ndarray, Task, float, int], Callable[[np.ndarray], np.ndarray]]


@dataclass(frozen=True)
class Probe:
    """A kind of frozen probe.

    Args:
        fit: fits and returns what predicts.
        setting: what its setting is called.
        values: of the setting, to choose from; of equals the first wins.
        kinds: the tasks it can do.
        meaning: what it is, in words.
    """

    fit: Fit
    setting: str
    values: tuple[float, ...]
    kinds: tuple[str, ...]
    meaning: str


_STRENGTHS = tuple(float(10.0**power) for power in range(-4, 3))
PROBES = {
    "linear": Probe(
        linear.fit,
        "inverse regularisation",
        _STRENGTHS,
        ("classification", "multi_label", "regression"),
        "logistic regression (classes weighted equally) or ridge on standardised vectors",
    ),
    "cox": Probe(
        cox.fit,
        "penalty",
        (10.0, 1.0, 0.1),
        ("survival",),
        f"Cox regression with a ridge penalty on at most {cox.MOST} principal components",
    ),
    "neighbours": Probe(
        neighbours.fit,
        "neighbours",
        (20.0, 10.0, 5.0),
        ("classification", "multi_label", "regression"),
        "nearest neighbours by cosine, weighted by softmax(cosine / 0.07)",
    ),
    "prototypes": Probe(
        prototypes.fit,
        "temperature",
        (0.1,),
        ("classification",),
        "the nearest class mean of centred, normed vectors (SimpleShot)",
    ),
    "published-linear": Probe(
        published_linear.fit,
        "learning rate",
        (0.02,),
        ("classification",),
        "one linear layer by SGD, 4000 steps of 128, as published for PCam",
    ),
}


def choose_probe(name: str, task: Task) -> tuple[str, Probe]:
    """Return a probe by name; ``linear`` means Cox regression where the task is survival.

    Raises:
        ConfigError: it cannot do the task.
    """
    if name == "linear" and task.kind == "survival":
        name = "cox"
    probe = PROBES[name]
    if task.kind not in probe.kinds:
        raise ConfigError(
            f"the probe '{name}' is for {', '.join(probe.kinds)}, not {task.kind}",
            where="evaluate",
            fix="take linear",
        )
    return name, probe


def probe_fold(
    probe: Probe,
    versions: Mapping[str, np.ndarray],
    data: SlideLabels,
    split: Split,
    *,
    round_number: int = 0,
    settings: Sequence[float] | None = None,
    inner_folds: int = 0,
    unit: Unit = "patient",
    seed: int = 0,
) -> tuple[FoldResult, Predictions]:
    """Fit a probe in one fold, and predict its test slides, once.

    Of all settings and versions of the vectors the one of least loss is chosen: fitted on train and
    asked on val, or in an inner cross-validation by patient over both. It is then fitted anew on
    train and val. Test slides decide nothing.

    Args:
        probe: what is fitted.
        versions: ``(N, D)`` vectors of all slides, by name.
        data: the slides.
        split: train, val and test.
        round_number: of the split.
        settings: to choose from instead of the probe's own.
        inner_folds: of the inner cross-validation; 0 chooses by val.
        unit: what validation scores: patients or slides.
        seed: of what is drawn.

    Returns:
        The test predictions with what was chosen, and the val predictions of the chosen setting.

    Raises:
        ConfigError: too few patients of a class for the inner folds.
    """
    rows = {part: split.rows(part) for part in ("train", "val", "test")}
    learnt = np.concatenate([rows["train"], rows["val"]])
    inner = [(rows["train"], rows["val"])]
    if inner_folds:
        inside = cross_validation(data.select(learnt), inner_folds, seed=seed)
        inner = [(learnt[one.rows("train", "val")], learnt[one.rows("test")]) for one in inside]

    def predicted(version: str, setting: float, places: Places, part: str) -> Predictions:
        return _predicted(probe, versions[version], data, places, (part, setting, seed))

    def loss(version: str, setting: float) -> float:
        each = [
            validation_loss(predicted(version, setting, places, "val"), unit) for places in inner
        ]
        defined = [value for value in each if not np.isnan(value)]
        return float(np.mean(defined)) if defined else 0.0

    candidates = [(v, s) for v in versions for s in settings or probe.values]
    version, setting = candidates[0]
    if len(candidates) > 1:
        # of equals the first
        version, setting = min(candidates, key=lambda one: loss(*one))
    facts: dict[str, Any] = {
        "train_patients": len(np.unique(data.patients[rows["train"]])),
        "val_patients": len(np.unique(data.patients[rows["val"]])),
        "vectors": version,
        probe.setting.replace(" ", "_"): setting,
    }
    test = predicted(version, setting, (learnt, rows["test"]), "test")
    val = predicted(version, setting, (rows["train"], rows["val"]), "val")
    return FoldResult(split.name, round_number, test, facts), val


def _predicted(
    probe: Probe,
    features: np.ndarray,
    data: SlideLabels,
    places: Places,
    how: tuple[str, float, int],
) -> Predictions:
    (learnt, asked), (part, setting, seed) = places, how
    predict = probe.fit(features[learnt], data.targets[learnt], data.task, setting, seed)
    return Predictions(
        data.task,
        data.slides[asked],
        data.patients[asked],
        np.full(len(asked), part),
        data.targets[asked],
        predict(features[asked]),
    )
