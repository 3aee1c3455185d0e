"""What a trained model predicts of slides, and the file that keeps it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from gigakit.core.files import write_text
from gigakit.data.slide_labels import Task

FILE = "predictions.csv"


def predict_slides(model: Any, loader: DataLoader[Any]) -> list[dict[str, Any]]:
    """Return the predictions of every slide, in the order of the dataset, on the CPU.

    Args:
        model: a :class:`~gigakit.tasks.objectives.slide_prediction.SlidePrediction`; it is left in
            the mode it was in.
        loader: its dataset is read from beginning to end, with its batch size and collate function.
    """
    in_order: DataLoader[Any] = DataLoader(
        loader.dataset,
        batch_size=loader.batch_size or 1,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
    )
    training = model.training
    model.eval()
    slides = []
    with torch.inference_mode():
        for batch in in_order:
            for slide in model.test_step(batch):
                slide.pop("attention", None)
                slides.append({name: _on_cpu(value) for name, value in slide.items()})
    model.train(training)
    return slides


def write_predictions(
    path: Path, task: Task, predictions: Mapping[str, Sequence[Mapping[str, Any]]]
) -> None:
    """Write predictions as CSV, atomically: a row a slide.

    Columns: ``slide_id``, ``patient_id``, ``split``; ``label_<column>`` of each label column, empty
    where unknown; of classes ``probability_<class>``; of several labels ``logit_<label>`` and
    ``probability_<label>``; of a value ``value``; of survival ``risk``, ``time`` and ``event``.

    Args:
        path: the file.
        task: what was predicted.
        predictions: by split, of :func:`predict_slides`.
    """
    rows = [
        {"split": split, **_row(slide, task)}
        for split, slides in predictions.items()
        for slide in slides
    ]
    stream = io.StringIO()
    columns = ["slide_id", "patient_id", "split", *_columns(rows)]
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, stream.getvalue())


def _columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    first: Mapping[str, Any] = next(iter(rows), {})
    return [name for name in first if name not in ("slide_id", "patient_id", "split")]


def _row(slide: Mapping[str, Any], task: Task) -> dict[str, Any]:
    row: dict[str, Any] = {"slide_id": slide["slide_id"], "patient_id": slide["patient_id"]}
    label = slide["label"]
    if task.kind == "classification":
        row[f"label_{task.labels[0]}"] = task.classes[int(label)]
        return row | _named("probability", task.classes, slide["probability"])
    values = [_text(value) for value in label.tolist()]
    row |= {f"label_{name}": value for name, value in zip(task.labels, values, strict=True)}
    if task.kind == "multi_label":
        row |= _named("logit", task.labels, slide["logit"])
        return row | _named("probability", task.labels, slide["probability"])
    if task.kind == "regression":
        return row | {"value": _text(float(slide["value"][0]))}
    return row | {"risk": _text(float(slide["risk"][0])), "time": values[0], "event": values[1]}


def _named(what: str, names: Sequence[str], values: torch.Tensor) -> dict[str, str]:
    numbers = values.tolist()
    return {f"{what}_{name}": _text(value) for name, value in zip(names, numbers, strict=True)}


def _text(value: float) -> str:
    # nine digits tell float32 numbers apart
    return "" if value != value else f"{value:.9g}"  # noqa: PLR0124


def _on_cpu(value: Any) -> Any:
    return value.cpu() if isinstance(value, torch.Tensor) else value
