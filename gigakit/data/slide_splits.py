"""Which slides of a cohort a run learns from, chooses by and is tested on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.core.tables import read_rows
from gigakit.data.slide_labels import SlideLabels
from gigakit.data.tile_table import SPLITS, split_name

_SHOWN = 3


def read_parts(path: Path, data: SlideLabels, column: str = "split") -> np.ndarray:
    """Read which part each labelled slide belongs to.

    Args:
        path: CSV with ``slide_id`` and the column; it may be the table of labels itself.
        data: the labelled slides.
        column: holds train, val (or valid, validation), test, or nothing for a slide not used.

    Returns:
        ``(N,)`` str: ``train``, ``val``, ``test`` or empty.

    Raises:
        ConfigError: no such column, an unknown part, a slide that is missing, or a patient in
            several parts.
    """
    told: dict[str, str] = {}
    for where, row in read_rows(path, "slide_id", column):
        text = row[column].strip()
        part = split_name(text) if text else ""
        if part and part not in SPLITS:
            raise ConfigError(
                f"its {column} is '{text}'", where=where, fix=f"give {', '.join(SPLITS)}"
            )
        told[row["slide_id"].strip()] = part
    missing = [slide for slide in data.slides.tolist() if slide not in told]
    if missing:
        raise ConfigError(
            f"does not tell the {column} of {_named(missing)}",
            where=path,
            fix="add their rows; an empty field leaves a slide out",
        )
    parts = np.array([told[slide] for slide in data.slides.tolist()], dtype="<U5")
    refuse_leaks(data, parts, path)
    return parts


def refuse_leaks(data: SlideLabels, parts: np.ndarray, where: Path) -> None:
    """Refuse a split in which a patient is in several parts.

    Raises:
        ConfigError: it names some of the patients.
    """
    first: dict[str, str] = {}
    leaking: dict[str, None] = {}
    for patient, part in zip(data.patients.tolist(), parts.tolist(), strict=True):
        if part and first.setdefault(patient, part) != part:
            leaking[patient] = None
    if leaking:
        raise ConfigError(
            f"{len(leaking)} patients are in several parts: {_named(list(leaking))}",
            where=where,
            fix="keep all slides of a patient in one part",
        )


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
