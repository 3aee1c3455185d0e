"""Frozen probes of slide vectors: simple models, whose few settings inner validation chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.data.slide_labels import SlideLabels, Task
from gigakit.tasks.evaluation.evaluation import FoldResult
from gigakit.tasks.evaluation.models import cox, linear, neighbours, prototypes, published_linear
from gigakit.tasks.evaluation.predictions import Predictions
from gigakit.tasks.evaluation.scores import validation_score
from gigakit.tasks.evaluation.splits import Split

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
    unit: str = "patient",
    seed: int = 0,
) -> tuple[FoldResult, Predictions]:
    """Fit a probe in one fold, and predict its test slides, once.

    Every setting and version of the vectors is fitted on train and scored on val; the best one is
    fitted anew on train and val. Test slides decide nothing.

    Args:
        probe: what is fitted.
        versions: ``(N, D)`` vectors of all slides, by name.
        data: the slides.
        split: train, val and test.
        round_number: of the split.
        settings: to choose from instead of the probe's own.
        unit: what validation scores: patients or slides.
        seed: of what is drawn.

    Returns:
        The test predictions with what was chosen, and the val predictions of the chosen setting.
    """
    rows = {part: split.rows(part) for part in ("train", "val", "test")}
    candidates = [(v, s) for v in versions for s in settings or probe.values]
    best: tuple[tuple[float, float], Predictions] | None = None
    chosen = candidates[0]
    for version, setting in candidates:
        val = _predicted(
            probe, versions[version], data, (rows["train"], rows["val"], "val"), setting, seed
        )
        score = validation_score(val, unit) if len(candidates) > 1 else (0.0, 0.0)
        if best is None or score > best[0]:
            best, chosen = (score, val), (version, setting)
    if best is None:
        raise ConfigError("no setting to choose from", where="--settings")
    version, setting = chosen
    learnt = np.concatenate([rows["train"], rows["val"]])
    test = _predicted(probe, versions[version], data, (learnt, rows["test"], "test"), setting, seed)
    facts: dict[str, Any] = {
        "train_patients": len(np.unique(data.patients[rows["train"]])),
        "val_patients": len(np.unique(data.patients[rows["val"]])),
        "vectors": version,
        probe.setting.replace(" ", "_"): setting,
    }
    return FoldResult(split.name, round_number, test, facts), best[1]


def _predicted(
    probe: Probe,
    features: np.ndarray,
    data: SlideLabels,
    places: tuple[np.ndarray, np.ndarray, str],
    setting: float,
    seed: int,
) -> Predictions:
    learnt, asked, part = places
    predict = probe.fit(features[learnt], data.targets[learnt], data.task, setting, seed)
    return Predictions(
        data.task,
        data.slides[asked],
        data.patients[asked],
        np.full(len(asked), part),
        data.targets[asked],
        predict(features[asked]),
    )
