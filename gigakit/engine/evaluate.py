"""A trained model on a split of its cohort: predictions and scores."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from gigakit.core.errors import CheckpointError, ConfigError
from gigakit.engine.checkpoint import FOLDER, find_resume, read_run_weights
from gigakit.engine.hooks.best_weights_hook import best_weights
from gigakit.engine.label_data import PARTS
from gigakit.engine.run_data import fill_in, prepare
from gigakit.nn.weights import compare_weights
from gigakit.registry import DATASETS, FUNCTIONS, METRICS, OBJECTIVES
from gigakit.tasks.inference import choose_device, inference
from gigakit.tasks.prepared import PreparedFeatures
from gigakit.tasks.slide_predictions import predict_slides, write_predictions

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation came to.

    Attributes:
        path: the predictions.
        weights: the file they were made with.
        slides: how many.
        scores: by name.
        notes: what a reader of the numbers should know.
    """

    path: Path
    weights: Path
    slides: int
    scores: dict[str, float]
    notes: list[str]


@dataclass(frozen=True)
class TrainedTask:
    """A trained slide-level model, and the slides to ask it about.

    Attributes:
        model: a :class:`~gigakit.tasks.objectives.slide_prediction.SlidePrediction`, on the device.
        loader: of the split's slides, in order.
        weights: the file that the model's came from.
        device: where the model is.
        precision: of matrix products, as in training.
        prepared: the features.
    """

    model: Any
    loader: DataLoader[Any]
    weights: Path
    device: torch.device
    precision: str
    prepared: PreparedFeatures

    @property
    def dataset(self) -> Any:
        """The :class:`~gigakit.data.datasets.slide_bags.SlideBags` of the split."""
        return self.loader.dataset

    @property
    def run(self) -> Path:
        """The folder of the run, or that of the weights."""
        folder = self.weights.parent
        return folder.parent if folder.name == FOLDER else folder


def evaluate(
    values: dict[str, Any],
    source: Path,
    *,
    split: str = "test",
    out: Path | None = None,
    device: str | None = None,
    announce: Callable[[str], None] = LOGGER.info,
) -> Evaluation:
    """Predict the slides of a split and score the predictions.

    Args:
        values: a recipe with labels; it is changed.
        source: weights, a checkpoint, or the folder of a run: its best weights, else the newest.
        split: ``train``, ``val`` or ``test``.
        out: file of the predictions; by default ``predictions-<split>.csv`` beside the weights, in
            the folder of the run.
        device: such as ``cuda:1``; ``None`` takes the best there is.
        announce: receives lines while features are prepared.

    Raises:
        ConfigError: the recipe is none of a slide-level task, or has no slide in the split.
        CheckpointError: the weights are missing, damaged, or not of this model.
    """
    trained = open_trained(values, source, split=split, device=device, announce=announce)
    with inference(trained.device, trained.precision):
        predictions = predict_slides(trained.model, trained.loader)
    path = out or trained.run / f"predictions-{split}.csv"
    write_predictions(path, trained.dataset.data.task, {split: predictions})
    scores = _scores(values, split, predictions)
    return Evaluation(path, trained.weights, len(predictions), scores, trained.prepared.notes)


def open_trained(
    values: dict[str, Any],
    source: Path,
    *,
    split: str,
    device: str | None = None,
    announce: Callable[[str], None] = LOGGER.info,
) -> TrainedTask:
    """Return a trained model with the slides of a split; the arguments are those of ``evaluate``.

    Raises:
        ConfigError: the recipe is none of a slide-level task, or has no slide in the split.
        CheckpointError: the weights are missing, damaged, or not of this model.
    """
    if "target" not in values:
        raise ConfigError(
            "is no recipe of a slide-level task", where="target", fix="see: gigakit list recipe"
        )
    weights = _weights(source)
    prepared = prepare(values, announce)
    if not isinstance(prepared, PreparedFeatures):
        raise ConfigError("is trained on tiles, not on their features", where="tiles")
    fill_in(values, prepared)
    if not values.get(PARTS[split]):
        raise ConfigError(f"no slide is in split '{split}'", where="splits", fix="name another")
    place = choose_device(device)
    return TrainedTask(
        model=_model(values["model"], weights).to(place),
        loader=_loader(values[PARTS[split]]),
        weights=weights,
        device=place,
        precision=(values.get("optim_wrapper") or {}).get("precision", "fp32"),
        prepared=prepared,
    )


def _weights(source: Path) -> Path:
    if not (source / FOLDER).is_dir() and not best_weights(source).is_file():
        return source
    best = best_weights(source)
    found = best if best.is_file() else find_resume(source)
    if found is None:
        raise CheckpointError("holds no valid checkpoint", where=source)
    return found


def _loader(config: Mapping[str, Any]) -> DataLoader[Any]:
    collate = dict(config["collate_fn"])
    function = FUNCTIONS.get(collate.pop("type"))
    return DataLoader(
        DATASETS.build(dict(config["dataset"])),
        batch_size=config.get("batch_size", 1),
        num_workers=config.get("num_workers", 0),
        collate_fn=functools.partial(function, **collate),
    )


def _model(config: Mapping[str, Any], path: Path) -> torch.nn.Module:
    model: torch.nn.Module = OBJECTIVES.build(dict(config))
    given = {name.removeprefix("module."): value for name, value in read_run_weights(path).items()}
    complaint = compare_weights(model.state_dict(), given)
    if complaint:
        raise CheckpointError(
            f"is not of this model: {complaint}",
            where=path,
            fix="give the config.py of its run, and a table with the same labels",
        )
    model.load_state_dict(given)
    return model


def _scores(values: Mapping[str, Any], split: str, predictions: list[Any]) -> dict[str, float]:
    evaluator = values.get(f"{split}_evaluator") or values.get("test_evaluator")
    config = evaluator or {"type": "SlideScores"}
    metric = METRICS.build(dict(config))
    metric.process({}, predictions)
    scores: dict[str, float] = metric.compute_metrics(metric.results)
    return scores
