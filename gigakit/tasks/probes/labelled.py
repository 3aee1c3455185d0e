"""Embeddings with labels, cases and a split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.data.tile_table import SPLITS


@dataclass(frozen=True)
class LabelledFeatures:
    """Frozen embeddings of labelled tiles.

    Args:
        features: ``(N, D)`` float32.
        labels: ``(N,)`` int64, numbers of classes.
        classes: their names.
        cases: ``(N,)`` str, the patient or specimen of each tile.
        splits: ``(N,)`` str: ``train``, ``val`` or ``test``.

    Raises:
        ConfigError: lengths differ, a split is unknown, or there is nothing to train or test on.
    """

    features: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    cases: np.ndarray
    splits: np.ndarray

    def __post_init__(self) -> None:
        lengths = {len(self.features), len(self.labels), len(self.cases), len(self.splits)}
        if len(lengths) > 1:
            raise ConfigError(f"lengths differ: {sorted(lengths)}", where="labelled tiles")
        unknown = sorted(set(self.splits.tolist()) - set(SPLITS))
        if unknown:
            raise ConfigError(
                f"the split of a tile is '{unknown[0]}'",
                where="labelled tiles",
                fix=f"one of {', '.join(SPLITS)}",
            )
        for split in ("train", "test"):
            if not (self.splits == split).any():
                raise ConfigError(f"no tile is in split '{split}'", where="labelled tiles")
        if len(np.unique(self.labels[self.splits == "train"])) < 2:  # noqa: PLR2004
            raise ConfigError(
                "the training tiles are all of one class", where="labelled tiles",
                fix="add tiles of another class",
            )  # fmt: skip

    def part(self, *splits: str) -> np.ndarray:
        """Return ``(N,)`` bool: which tiles are in some splits."""
        return np.isin(self.splits, splits)

    def leaks(self) -> list[str]:
        """Return the cases that are in the test split and in another one too, by name."""
        test = set(self.cases[self.part("test")].tolist())
        return sorted(test & set(self.cases[self.part("train", "val")].tolist()))
