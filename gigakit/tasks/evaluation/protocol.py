"""The protocol of an evaluation: how slides are split, and what is written down about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gigakit.core.errors import ConfigError, StoreError
from gigakit.core.files import write_text
from gigakit.data.feature_folder import FeatureFolder
from gigakit.data.slide_labels import SlideLabels
from gigakit.tasks.evaluation.split_files import read_splits, write_splits
from gigakit.tasks.evaluation.splits import (
    Split,
    check_splits,
    cross_validation,
    random_splits,
)

SPLITS_FILE = "splits.csv"
_NAMED = 3


@dataclass(frozen=True)
class Protocol:
    """How slides are split.

    Args:
        folds: of a cross-validation, or number of random draws.
        repeats: of the cross-validation.
        fractions: of the patients for train, val and test: random draws instead.
        file: splits made before or elsewhere instead.
        val: share of all patients for validation, where the splits do not tell.
        seed: of everything drawn.
    """

    folds: int = 10
    repeats: int = 1
    fractions: tuple[float, float, float] | None = None
    file: Path | None = None
    val: float = 0.1
    seed: int = 0

    def __str__(self) -> str:
        if self.file is not None:
            return f"the splits of {self.file.name}"
        if self.fractions is not None:
            parts = "/".join(f"{100 * one:g}" for one in self.fractions)
            return f"{self.folds} random draws of patients, {parts} % train/val/test, stratified"
        repeats = f", {self.repeats} times" if self.repeats > 1 else ""
        return (
            f"{self.folds}-fold cross-validation by patient, stratified{repeats}, "
            f"{self.val:.0%} of the patients for validation"
        )

    def split(self, data: SlideLabels) -> tuple[list[Split], list[str]]:
        """Return the splits, checked, and what a reader of the numbers must know.

        Raises:
            ConfigError: a split leaks patients or cannot be learnt from.
        """
        notes: list[str] = []
        if self.file is not None:
            splits, notes = read_splits(self.file, data, val=self.val, seed=self.seed)
        elif self.fractions is not None:
            splits = random_splits(data, self.folds, fractions=self.fractions, seed=self.seed)
        else:
            splits = cross_validation(
                data, self.folds, repeats=self.repeats, val=self.val, seed=self.seed
            )
        notes += check_splits(data, splits, self.file or "splits")
        return splits, notes


def with_features(
    data: SlideLabels, folder: FeatureFolder, *, allow_missing: bool = False
) -> SlideLabels:
    """Return the slides that have features.

    Args:
        data: the labelled slides.
        folder: their features.
        allow_missing: leave out slides without, and note how many.

    Raises:
        StoreError: a slide has none.
    """
    has = np.array([slide in folder.files for slide in data.slides.tolist()])
    if has.all():
        return data
    missing = data.slides[~has].tolist()
    named = ", ".join(missing[:_NAMED]) + (" ..." if len(missing) > _NAMED else "")
    told = f"{len(missing)} of {len(data.slides)} labelled slides have no features: {named}"
    if not allow_missing or not has.any():
        raise StoreError(
            told, where=folder.root, fix="embed them, or leave them out with --allow-missing"
        )
    return data.select(np.flatnonzero(has), f"{told}; they are left out")


def store_splits(out: Path, labelled: SlideLabels, data: SlideLabels, splits: list[Split]) -> Path:
    """Write the splits into an evaluation's folder, and return the file.

    Args:
        out: the folder.
        labelled: all slides of the table; those that are not in ``data`` get no part.
        data: the slides that the splits are of.
        splits: to be written.

    Raises:
        ConfigError: the folder holds an evaluation of other splits.
    """
    path = out / SPLITS_FILE
    inside = np.isin(labelled.slides, data.slides)
    full = []
    for split in splits:
        parts = np.full(len(labelled.slides), "", dtype="<U5")
        parts[inside] = split.parts
        full.append(Split(split.name, parts))
    if path.is_file():
        before = path.read_text(encoding="utf-8")
        write_splits(path, labelled, full)
        if path.read_text(encoding="utf-8") != before:
            write_text(path, before)
            raise ConfigError(
                "holds an evaluation of other splits", where=out, fix="name another --out"
            )
    write_splits(path, labelled, full)
    return path


def protocol_facts(protocol: Protocol, data: SlideLabels, table: Path) -> dict[str, Any]:
    """Return what a card says of its data and splits."""
    return {
        "protocol": str(protocol),
        "labels": str(table),
        "split_seed": protocol.seed,
        "cohort": f"{len(np.unique(data.patients))} patients, {len(data.slides)} slides",
    }
