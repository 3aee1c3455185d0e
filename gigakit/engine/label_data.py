"""Labels of slides, put into the open places of a recipe of a slide-level task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.core.tables import read_rows
from gigakit.data.datasets.slide_bags import largest_slides
from gigakit.data.feature_folder import FeatureFolder
from gigakit.data.slide_labels import SlideLabels, Task, read_slide_labels
from gigakit.data.slide_splits import read_parts
from gigakit.registry import LOSSES

PARTS = {"train": "train_dataloader", "val": "val_dataloader", "test": "test_dataloader"}
# of a target's keys, what a dataset takes under the same name
_OF_DATASET = ("columns", "kind", "patient_column", "split_column")

# columns of a table that are no labels, by the target's key that names them, with their defaults
_OTHER_COLUMNS = {"patient_column": "patient_id", "split_column": "split"}


def fill_in_labels(values: dict[str, Any], folder: Path) -> list[str]:
    """Put what the table of labels tells into a recipe, and return what a user should know.

    Every dataset gets its place, its table and its split; the model the number of its outputs; the
    loss what it takes from the training slides. Splits without slides lose their loader.

    Args:
        values: the recipe, with ``labels``, ``target`` and perhaps ``splits``.
        folder: of the feature files.

    Raises:
        ConfigError: no table, labels that do not fit the loss, no training slides, or a patient in
            several splits.
    """
    table = _table(values)
    target = {key: value for key, value in values["target"].items() if value is not None}
    data = read_slide_labels(
        table,
        label_columns(target, table),
        kind=target.get("kind"),
        patient=target.get("patient_column", "patient_id"),
    )
    splits = Path(values["splits"]) if values.get("splits") else table
    parts = read_parts(splits, data, target.get("split_column", "split"))
    if "train" not in parts:
        raise ConfigError("no slide is in split 'train'", where=splits, fix="give some")
    given = {key: target[key] for key in _OF_DATASET if key in target}
    given |= {"columns": list(data.task.labels), "kind": data.task.kind, "labels": str(table)}
    for part, name in PARTS.items():
        if part not in parts:
            for key in (name, f"{part}_cfg", f"{part}_evaluator"):
                values.pop(key, None)
        elif values.get(name):
            dataset = values[name]["dataset"]
            dataset |= {**given, "split": part, "root": str(folder.absolute())}
            if values.get("splits"):
                dataset["splits"] = str(splits)
    model = values["model"]
    if model.get("output_dim") is None:
        model["output_dim"] = outputs_of(data.task)
    training = data.select(np.flatnonzero(parts == "train"))
    if values["train_dataloader"]["dataset"].get("slides_of_a_patient") == "largest":
        training = training.select(largest_slides(training, FeatureFolder(folder)))
    model["loss"] = _loss(model.get("loss") or {}, training)
    return [*data.notes, _counts(data, parts)]


def outputs_of(task: Task) -> int:
    """Return how many outputs a model of a task has."""
    if task.kind == "survival":
        return 1
    return len(task.classes or task.labels)


def _table(values: dict[str, Any]) -> Path:
    if not values.get("labels"):
        raise ConfigError(
            "no table of labels is given", where="labels", fix="add --set labels=labels.csv"
        )
    return Path(values["labels"])


def label_columns(target: dict[str, Any], table: Path) -> list[str]:
    """Return the label columns: those named, or of several labels all that are nothing else.

    Args:
        target: of the recipe.
        table: of labels.

    Raises:
        ConfigError: none is named, and the task is not multi-label.
    """
    given = target.get("columns")
    if given:
        return [given] if isinstance(given, str) else list(given)
    if target.get("kind") != "multi_label":
        raise ConfigError(
            "no label column is named",
            where="target.columns",
            fix="add --set \"target.columns=['COLUMN']\"",
        )
    first = next(read_rows(table, "slide_id"), None)
    others = {"slide_id", *(target.get(k, d) for k, d in _OTHER_COLUMNS.items())}
    return [name for name in (first[1] if first else {}) if name not in others]


def _loss(given: dict[str, Any], training: SlideLabels) -> dict[str, Any]:
    """Return the loss's config, with what it takes from the training slides.

    Raises:
        ConfigError: it is one for other labels.
    """
    loss = {"type": _LOSSES[training.task.kind], **given}
    kind = getattr(LOSSES.get(loss["type"]), "kind", None)
    if kind != training.task.kind:
        told = kind or "other objectives"
        raise ConfigError(
            f"{loss['type']} is for {told}, the labels are {training.task.kind}",
            where="model.loss",
            fix=f'take dict(type="{_LOSSES[training.task.kind]}"), or set target.kind',
        )
    values = training.targets[:, 0]
    if loss.get("class_weights") == "balanced":
        counts = np.bincount(values.astype(np.int64), minlength=len(training.task.classes))
        if (counts == 0).any():
            missing = training.task.classes[int(counts.argmin())]
            raise ConfigError(
                f"no training slide is of class '{missing}'",
                where="model.loss.class_weights",
                fix="leave class_weights out, or the class",
            )
        loss["class_weights"] = [float(w) for w in len(values) / (len(counts) * counts)]
    if loss["type"] == "RegressionLoss":
        spread = float(values.std())
        loss = {"mean": float(values.mean()), "deviation": spread if spread > 0 else 1.0, **loss}
    return loss


def _counts(data: SlideLabels, parts: np.ndarray) -> str:
    each = [
        f"{part} {int((parts == part).sum())} ({len(np.unique(data.patients[parts == part]))})"
        for part in PARTS
        if part in parts
    ]
    return f"{data.task}; slides (patients): {', '.join(each)}"


_LOSSES = {
    "classification": "ClassificationLoss",
    "multi_label": "MultiLabelLoss",
    "regression": "RegressionLoss",
    "survival": "SurvivalLoss",
}
