"""Split files: gigakit's own, one with a split column, and CLAM's folder of lists."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.core.files import write_text
from gigakit.core.tables import read_rows
from gigakit.data.slide_labels import SlideLabels
from gigakit.data.tile_table import SPLITS, split_name
from gigakit.tasks.evaluation.splits import Split, with_validation

_FOLD = re.compile(r"(split|fold|draw|repeat)[-_]?\d.*")
_KEYS = {"slide_id": "slide", "patient_id": "patient", "case_id": "patient"}
_CLAM = re.compile(r"splits_(\d+)\.csv")


def write_splits(path: Path, data: SlideLabels, splits: Sequence[Split]) -> None:
    """Write ``slide_id,patient_id,<split>,...`` with train, val, test or nothing, atomically."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["slide_id", "patient_id", *(split.name for split in splits)])
    for row, (slide, patient) in enumerate(zip(data.slides, data.patients, strict=True)):
        writer.writerow([slide, patient, *(split.parts[row] for split in splits)])
    write_text(path, stream.getvalue())


def read_splits(
    path: Path, data: SlideLabels, *, val: float = 0.1, seed: int = 0
) -> tuple[list[Split], list[str]]:
    """Read splits made before or elsewhere.

    Args:
        path: a CSV with ``slide_id``, or ``patient_id`` or ``case_id``, and either a column
            ``split`` or columns such as ``fold0``, ``fold_0``, ``draw0`` that hold train, val, test
            or nothing; or a folder of CLAM's ``splits_<n>.csv`` with columns of slides, train, val
            and test.
        data: the labelled slides; others in the file are left out.
        val: where a split has no val, share of all patients that is drawn from train for it.
        seed: of that draw.

    Returns:
        The splits, and what should be known of them.

    Raises:
        ConfigError: no such file or columns, an unknown part, or labelled slides that it does not
            know.
    """
    splits = _read_folder(path, data) if path.is_dir() else _read_table(path, data)
    notes = []
    unused = int(np.all([split.parts == "" for split in splits], axis=0).sum())
    if unused == len(data.slides):
        raise ConfigError("knows none of the labelled slides", where=path, fix="check its names")
    if unused:
        notes.append(f"{unused} labelled slides are in no split of {path.name}")
    lacking = [
        split.name for split in splits if len(split.rows("train")) and not len(split.rows("val"))
    ]
    if lacking:
        notes.append(
            f"{', '.join(lacking)} of {path.name} have no val: {val:.0%} of the patients are drawn "
            f"from train, with seed {seed}"
        )
        splits = [
            with_validation(data, split, val, seed) if split.name in lacking else split
            for split in splits
        ]
    return splits, notes


def _read_table(path: Path, data: SlideLabels) -> list[Split]:
    rows = list(read_rows(path))
    columns = list(rows[0][1]) if rows else []
    key = next((name for name in _KEYS if name in columns), None)
    if key is None:
        raise ConfigError("has no column slide_id or patient_id", where=path)
    names = [name for name in columns if name == "split" or _FOLD.fullmatch(name)]
    if not names:
        raise ConfigError(
            "has neither a column 'split' nor columns such as fold0",
            where=path,
            fix="they hold train, val or test",
        )
    found: dict[str, dict[str, str]] = {name: {} for name in names}
    for where, row in rows:
        for name in names:
            part = split_name(row[name].strip())
            if part not in ("", *SPLITS):
                raise ConfigError(
                    f"the {name} is '{row[name]}'", where=where, fix=f"one of {', '.join(SPLITS)}"
                )
            if found[name].setdefault(row[key], part) != part:
                raise ConfigError(f"{row[key]} is in two parts of {name}", where=where)
    keys = data.slides if _KEYS[key] == "slide" else data.patients
    return [_split(name, keys, parts) for name, parts in found.items()]


def _read_folder(path: Path, data: SlideLabels) -> list[Split]:
    files = {int(m[1]): file for file in path.iterdir() if (m := _CLAM.fullmatch(file.name))}
    if not files:
        raise ConfigError("holds no splits_<n>.csv", where=path, fix="name a CSV of splits")
    splits = []
    for number in sorted(files):
        parts: dict[str, str] = {}
        for where, row in read_rows(files[number], "train", "test"):
            for part in SPLITS:
                slide = row.get(part, "").strip()
                if slide and parts.setdefault(slide, part) != part:
                    raise ConfigError(f"{slide} is in {parts[slide]} and in {part}", where=where)
        splits.append(_split(f"fold{number}", data.slides, parts))
    return splits


def _split(name: str, keys: np.ndarray, parts: Mapping[str, str]) -> Split:
    return Split(name, np.array([parts.get(str(key), "") for key in keys], dtype="<U5"))
