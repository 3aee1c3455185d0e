"""The cohort's table: which slides, of which patients, with which labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.core.tables import read_rows

Kind = Literal["classification", "multi_label", "regression", "survival"]
KINDS: tuple[Kind, ...] = ("classification", "multi_label", "regression", "survival")
# whole numbers of more values than this are read as a quantity
_MOST_GRADES = 10


@dataclass(frozen=True)
class Task:
    """What is to be predicted of a slide.

    Args:
        kind: what sort of label.
        labels: the columns; for survival the time and the event (1 observed, 0 censored).
        classes: names of the classes, in order; empty but for a classification.
    """

    kind: Kind
    labels: tuple[str, ...]
    classes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The task in a word or two, such as ``isup``."""
        return self.labels[0] if self.kind == "survival" else ", ".join(self.labels)

    @property
    def graded(self) -> bool:
        """Tell whether the classes are grades: all their names are numbers."""
        return bool(self.classes) and all(_number(name) is not None for name in self.classes)

    def __str__(self) -> str:
        if self.kind == "classification":
            return f"{self.name}: {len(self.classes)} classes ({', '.join(self.classes)})"
        return f"{self.name}: {self.kind.replace('_', '-')}"


@dataclass(frozen=True)
class SlideLabels:
    """Labelled slides.

    Args:
        slides: ``(N,)`` str.
        patients: ``(N,)`` str.
        targets: ``(N, T)`` float64: number of the class, 0 / 1 / NaN (unknown) of each label, a
            value, or time and event.
        task: what they are labels of.
        notes: what a reader of the numbers must know.
    """

    slides: np.ndarray
    patients: np.ndarray
    targets: np.ndarray
    task: Task
    notes: tuple[str, ...] = ()

    def select(self, rows: np.ndarray, *notes: str) -> SlideLabels:
        """Return some of the slides, and say why."""
        return SlideLabels(
            self.slides[rows],
            self.patients[rows],
            self.targets[rows],
            self.task,
            (*self.notes, *notes),
        )


def read_slide_labels(
    table: Path, labels: Sequence[str], *, kind: str | None = None, patient: str = "patient_id"
) -> SlideLabels:
    """Read a cohort's table: ``slide_id``, ``patient_id`` and label columns.

    A slide without a label is left out; of several labels a slide may lack some.

    Args:
        table: CSV.
        labels: columns; for survival the time and the event.
        kind: one of :data:`KINDS`; ``None`` reads several columns as multi-label, words and up to
            ten whole numbers as classes, other numbers as a value.
        patient: the column of patients; without it each slide counts as a patient, and a note
            says so.

    Raises:
        ConfigError: a column is missing, a slide is named twice, a label cannot be read, or all
            slides have the same.
    """
    if not labels:
        raise ConfigError("no label column is named", where=table, fix="give --label COLUMN")
    if kind not in (None, *KINDS):
        raise ConfigError(
            f"there is no kind of task '{kind}'", where="--kind", fix=f"one of {', '.join(KINDS)}"
        )
    rows = list(read_rows(table, "slide_id", *labels))
    if not rows:
        raise ConfigError("has no slides", where=table)
    slides = [row["slide_id"].strip() for _, row in rows]
    _refuse_doubles(slides, table)
    known = patient in rows[0][1]
    patients = [row[patient].strip() if known else row["slide_id"].strip() for _, row in rows]
    if "" in patients:
        raise ConfigError(
            f"its {patient} is empty", where=rows[patients.index("")][0], fix="fill it"
        )
    texts = [[row[label].strip() for label in labels] for _, row in rows]
    chosen = _kind(kind, texts)
    complete = any if chosen == "multi_label" else all
    keep = [number for number, fields in enumerate(texts) if complete(fields)]
    if not keep:
        raise ConfigError(f"no slide has a label '{labels[0]}'", where=table)
    task, targets = _targets(
        chosen, tuple(labels), [(rows[number][0], texts[number]) for number in keep], table
    )
    found = SlideLabels(
        np.array(slides, dtype=np.str_)[keep],
        np.array(patients, dtype=np.str_)[keep],
        targets,
        task,
    )
    notes = _notes(table, patient, known=known, left_out=len(rows) - len(keep))
    return found.select(np.arange(len(keep)), *notes)


def _notes(table: Path, patient: str, *, known: bool, left_out: int) -> list[str]:
    notes = [f"{left_out} slides without a label are left out"] if left_out else []
    if not known:
        notes.append(
            f"{table.name} has no column {patient}: each slide counts as a patient, so that nobody "
            "can say whether patients leak between train and test"
        )
    return notes


def _refuse_doubles(slides: Sequence[str], table: Path) -> None:
    seen: set[str] = set()
    for slide in slides:
        if slide in seen:
            raise ConfigError(f"names the slide {slide} twice", where=table, fix="keep one row")
        seen.add(slide)


def _kind(kind: str | None, texts: Sequence[Sequence[str]]) -> Kind:
    if kind is not None:
        return next(one for one in KINDS if one == kind)
    if len(texts[0]) > 1:
        return "multi_label"
    values = {fields[0] for fields in texts if fields[0]}
    numbers = [_number(value) for value in values]
    if any(number is None for number in numbers):
        return "classification"
    whole = all(number is not None and number.is_integer() for number in numbers)
    return "classification" if whole and len(values) <= _MOST_GRADES else "regression"


def _targets(
    kind: Kind, labels: tuple[str, ...], rows: Sequence[tuple[str, list[str]]], table: Path
) -> tuple[Task, np.ndarray]:
    needed = {"classification": 1, "regression": 1, "survival": 2}.get(kind, len(labels))
    if len(labels) != needed:
        raise ConfigError(
            f"{len(labels)} label columns for {kind}", where=table, fix=f"name {needed}"
        )
    if kind == "classification":
        classes = tuple(sorted({fields[0] for _, fields in rows}, key=_order))
        if len(classes) < 2:  # noqa: PLR2004
            raise ConfigError(
                f"all slides have the {labels[0]} '{classes[0]}'", where=table, fix="add others"
            )
        numbers = [[float(classes.index(fields[0]))] for _, fields in rows]
        return Task(kind, labels, classes), np.array(numbers)
    values = np.array([[_value(text, where) for text in fields] for where, fields in rows])
    binary = {"multi_label": values, "survival": values[:, 1:]}.get(kind)
    if binary is not None and not np.isin(binary[~np.isnan(binary)], (0, 1)).all():
        raise ConfigError(
            f"{kind} needs 0 or 1 in {', '.join(labels[-binary.shape[1] :])}", where=table
        )
    if kind == "survival" and (values[:, 0] < 0).any():
        raise ConfigError(f"a time in '{labels[0]}' is negative", where=table)
    return Task(kind, labels), values


def _value(text: str, where: str) -> float:
    if not text:
        return float("nan")
    number = _number(text)
    if number is None or not math.isfinite(number):
        raise ConfigError(f"the label '{text}' is no number", where=where)
    return number


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _order(name: str) -> tuple[float, str]:
    """Sort classes as numbers where they are such, else by name."""
    number = _number(name)
    return (math.inf if number is None else number, name)
