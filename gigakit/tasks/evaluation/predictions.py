"""Predictions of runs: ``predictions.csv`` as a training run or a probe writes it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.core.files import write_text
from gigakit.core.tables import read_rows
from gigakit.data.slide_labels import Kind, Task

FILE = "predictions.csv"
_LABEL, _PROBABILITY = "label_", "probability_"
_KEYS = ("slide_id", "patient_id", "split")


@dataclass(frozen=True)
class Predictions:
    """What was predicted of slides, or of patients.

    Args:
        task: what was asked.
        slides: ``(N,)`` str; of a patient's mean prediction its slides, joined by ``+``.
        patients: ``(N,)`` str.
        parts: ``(N,)`` str: train, val or test.
        targets: ``(N, T)`` float64 as in :class:`SlideLabels`.
        outputs: ``(N, C)`` probabilities of classes or labels, ``(N, 1)`` values, or ``(N, 1)``
            risks: the higher, the earlier.
    """

    task: Task
    slides: np.ndarray
    patients: np.ndarray
    parts: np.ndarray
    targets: np.ndarray
    outputs: np.ndarray

    def __len__(self) -> int:
        return len(self.slides)

    def select(self, rows: np.ndarray) -> Predictions:
        """Return some rows, by number or by mask."""
        return Predictions(
            self.task,
            self.slides[rows],
            self.patients[rows],
            self.parts[rows],
            self.targets[rows],
            self.outputs[rows],
        )

    def part(self, name: str) -> Predictions:
        """Return the rows of one part."""
        return self.select(self.parts == name)


def write_predictions(
    path: Path, found: Predictions, further: Mapping[str, np.ndarray] | None = None
) -> None:
    """Write slides, labels and predictions, a row each, atomically.

    Args:
        path: the file.
        found: the predictions.
        further: other columns by name, ``(N,)`` each.
    """
    further = further or {}
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*_KEYS, *further, *_columns(found.task)])
    for row in range(len(found)):
        keys = (found.slides[row], found.patients[row], found.parts[row])
        others = (column[row] for column in further.values())
        fields = _fields(found.task, found.targets[row], found.outputs[row])
        writer.writerow([*keys, *others, *fields])
    write_text(path, stream.getvalue())


def read_predictions(path: Path) -> Predictions:
    """Read ``predictions.csv``; what the task is follows from its columns.

    A classification has one ``label_<task>`` and ``probability_<class>`` columns, a multi-label
    task a ``probability_<label>`` for each ``label_<label>``, a regression ``value``, survival
    ``risk``, ``time`` and ``event``.

    Raises:
        ConfigError: no such file, columns of no task, or a value that is none.
    """
    rows = list(read_rows(path, *_KEYS))
    if not rows:
        raise ConfigError("holds no predictions", where=path, fix="run the test again")
    task = _task(list(rows[0][1]), path)
    outputs, targets = _output_columns(task), _target_columns(task)
    predicted = np.array([[_number(where, row[name]) for name in outputs] for where, row in rows])
    if not np.isfinite(predicted).all():
        raise ConfigError("holds predictions that are not finite", where=path, fix="train again")
    if task.kind == "classification":
        numbers = {name: float(number) for number, name in enumerate(task.classes)}
        truth = [[_class(where, row[targets[0]], numbers)] for where, row in rows]
    else:
        truth = [[_number(where, row[name], empty=True) for name in targets] for where, row in rows]
    slides, patients, parts = (np.array([row[key] for _, row in rows]) for key in _KEYS)
    return Predictions(task, slides, patients, parts, np.array(truth, dtype=np.float64), predicted)


def by_patient(found: Predictions) -> Predictions:
    """Return one row a patient and part: the mean of its slides' predictions.

    Raises:
        ConfigError: slides of a patient have different labels.
    """
    keys = np.char.add(np.char.add(found.parts, "\n"), found.patients)
    _, first, index = np.unique(keys, return_index=True, return_inverse=True)
    same = found.targets == found.targets[first][index]
    same |= np.isnan(found.targets) & np.isnan(found.targets[first][index])
    if not same.all():
        row = int(np.flatnonzero(~same.all(axis=1))[0])
        raise ConfigError(
            f"slides of patient {found.patients[row]} have different labels",
            where="--unit patient",
            fix="score slides: --unit slide",
        )
    sums = np.zeros((len(first), found.outputs.shape[1]))
    np.add.at(sums, index, found.outputs)
    slides = np.array(
        ["+".join(found.slides[index == number].tolist()) for number in range(len(first))]
    )
    return Predictions(
        found.task,
        slides,
        found.patients[first],
        found.parts[first],
        found.targets[first],
        sums / np.bincount(index)[:, None],
    )


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Return the predictions of several runs of one task, one after the other.

    Raises:
        ConfigError: the tasks differ.
    """
    first = parts[0].task
    for one in parts:
        if one.task != first:
            raise ConfigError(f"two tasks: {first} and {one.task}", where="predictions")
    return Predictions(
        first,
        np.concatenate([one.slides for one in parts]),
        np.concatenate([one.patients for one in parts]),
        np.concatenate([one.parts for one in parts]),
        np.concatenate([one.targets for one in parts]),
        np.concatenate([one.outputs for one in parts]),
    )


def _columns(task: Task) -> list[str]:
    return [*_target_columns(task), *_output_columns(task)]


def _target_columns(task: Task) -> list[str]:
    if task.kind == "survival":
        return ["time", "event"]
    return [f"{_LABEL}{name}" for name in task.labels]


def _output_columns(task: Task) -> list[str]:
    if task.kind in ("regression", "survival"):
        return ["value" if task.kind == "regression" else "risk"]
    names = task.classes if task.kind == "classification" else task.labels
    return [f"{_PROBABILITY}{name}" for name in names]


def _fields(task: Task, targets: np.ndarray, outputs: np.ndarray) -> list[str]:
    if task.kind == "classification":
        labels = [task.classes[int(targets[0])]]
    else:
        labels = ["" if np.isnan(value) else f"{value:.17g}" for value in targets]
    return [*labels, *(f"{value:.9g}" for value in outputs)]


def _task(columns: Sequence[str], path: Path) -> Task:
    labels = tuple(name.removeprefix(_LABEL) for name in columns if name.startswith(_LABEL))
    named = tuple(
        name.removeprefix(_PROBABILITY) for name in columns if name.startswith(_PROBABILITY)
    )
    kind: Kind | None = None
    if {"risk", "time", "event"} <= set(columns):
        return Task("survival", ("time", "event"))
    if "value" in columns and len(labels) == 1:
        kind = "regression"
    elif labels and set(named) == set(labels):
        kind = "multi_label"
    elif len(labels) == 1 and len(named) > 1:
        kind = "classification"
    if kind is None:
        raise ConfigError(
            f"its columns are of no task: {', '.join(columns)}",
            where=path,
            fix="label_<task> with probability_<class>, value, or risk, time and event",
        )
    return Task(kind, labels, named if kind == "classification" else ())


def _number(where: str, text: str, *, empty: bool = False) -> float:
    if empty and not text.strip():
        return float("nan")
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"'{text}' is no number", where=where) from None


def _class(where: str, name: str, numbers: Mapping[str, float]) -> float:
    if name not in numbers:
        raise ConfigError(
            f"the label '{name}' is none of the classes {', '.join(numbers)}", where=where
        )
    return numbers[name]
