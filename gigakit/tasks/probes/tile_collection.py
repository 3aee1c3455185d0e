"""Labelled tiles, ready to be embedded and probed, and what is questionable about them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from gigakit.core.errors import ConfigError, DamagedRegionError
from gigakit.data.tile_files import FolderTiles, TileFiles, open_tile_files
from gigakit.data.tile_table import SPLITS, TileRow, class_names
from gigakit.tasks.probes.labelled import LabelledFeatures
from gigakit.tasks.probes.splits import SHARES, split_by_case
from gigakit.tasks.probes.tile_tables import rows_of_folders, rows_of_table
from gigakit.wsi.image_decoding import decode_image

CASE = "case"
TILE = "tile"


@dataclass(frozen=True)
class TileCollection:
    """Labelled tiles.

    Args:
        files: where they lie.
        names: N names of tiles.
        labels: ``(N,)`` int64.
        classes: their names.
        cases: ``(N,)`` str.
        splits: ``(N,)`` str: ``train``, ``val`` or ``test``.
        notes: how the split came about.
        warnings: why scores may be wrong.
    """

    files: TileFiles
    names: list[str]
    labels: np.ndarray
    classes: tuple[str, ...]
    cases: np.ndarray
    splits: np.ndarray
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)

    def pixels(self, index: int) -> np.ndarray:
        """Return a tile ``(H, W, 3)`` uint8 RGB.

        Raises:
            DamagedRegionError: it is missing or damaged.
        """
        name = self.names[index]
        try:
            return decode_image(self.files.read(name))
        except DamagedRegionError as error:
            raise DamagedRegionError(error.what, where=self.files.root / name) from error

    def labelled(self, features: np.ndarray) -> LabelledFeatures:
        """Return the embeddings ``(N, D)`` of the tiles with their labels.

        Raises:
            ConfigError: there is nothing to train or test on.
        """
        return LabelledFeatures(features, self.labels, self.classes, self.cases, self.splits)

    def only(self, good: np.ndarray, warning: str) -> TileCollection:
        """Return some of the tiles, and why the others are left out.

        Args:
            good: ``(N,)`` bool.
            warning: why.
        """
        return replace(
            self,
            names=[name for name, kept in zip(self.names, good, strict=True) if kept],
            labels=self.labels[good],
            cases=self.cases[good],
            splits=self.splits[good],
            warnings=[*self.warnings, warning],
        )


def read_collection(
    source: Path,
    *,
    table: Path | None = None,
    root: Path | None = None,
    split_by: str = CASE,
    seed: int = 0,
) -> TileCollection:
    """Read which labelled tiles there are; no image is opened.

    Args:
        source: a folder, zip or tar with a folder per class, or a table.
        table: the table of a folder, zip or tar.
        root: where the paths of a table start; ``None`` takes the table's folder.
        split_by: the table's column whose values are kept together: in a split that is drawn here,
            in the check for leaks, and in intervals; ``tile`` keeps nothing together.
        seed: draws the split, where the data have none.

    Raises:
        ConfigError: the data cannot be used as they are.
        StoreError: a damaged archive.
    """
    if table is None and source.suffix.lower() == ".csv":
        # beside a table may lie much else, which is left alone
        files = open_tile_files(root) if root else FolderTiles(source.parent)
        table = source
    elif root is not None:
        raise ConfigError(
            "--root is for the paths of a table", where=source, fix="give the table as DATA"
        )
    else:
        files = open_tile_files(source)
    if table is None:
        rows = rows_of_folders(files)
    else:
        rows = rows_of_table(table, files, case=split_by.lower())
    return _collected(files, rows, table or source, split_by, seed)


def _collected(
    files: TileFiles, rows: list[TileRow], where: Path, split_by: str, seed: int
) -> TileCollection:
    classes = tuple(class_names(row.label for row in rows))
    if len(classes) < 2:  # noqa: PLR2004
        raise ConfigError(
            f"holds one class alone, '{classes[0]}'", where=where, fix="add tiles of another class"
        )
    number = {name: i for i, name in enumerate(classes)}
    labels = np.array([number[row.label] for row in rows], dtype=np.int64)
    warnings = []
    # a column 'tile' is the tiles' own names
    unknown = split_by.lower() == TILE or any(row.case is None for row in rows)
    if unknown and split_by.lower() not in (CASE, TILE):
        raise ConfigError(
            f"has no column '{split_by}'", where=where, fix="name the column of cases, or 'tile'"
        )
    if unknown:
        warnings.append(
            "no cases are known, so each tile counts as a case of its own: if several tiles come "
            "from one patient, scores are too high and intervals too narrow"
        )
    cases = np.array([row.tile if unknown else row.case for row in rows], dtype=np.str_)
    if rows[0].split is None:
        splits = split_by_case(labels, cases, seed=seed)
        shares = ", ".join(f"{name} {share:.0%}" for name, share in SHARES.items())
        what = "tiles" if unknown else "whole cases"
        notes = [f"the data have no split: {what} were drawn with seed {seed}: {shares}"]
    else:
        splits = np.array([row.split for row in rows], dtype=np.str_)
        notes = ["the split is that of the data"]
    names = [row.tile for row in rows]
    collection = TileCollection(files, names, labels, classes, cases, splits, notes, warnings)
    # what embedding would only find out at its end
    leaks = collection.labelled(np.zeros((len(rows), 0), dtype=np.float32)).leaks()
    if leaks:
        warnings.append(
            f"{len(leaks)} {'case is' if len(leaks) == 1 else 'cases are'} in the test split and "
            f"in another one (the first: {leaks[0]}): scores are too high"
        )
    return collection


def counts(collection: TileCollection) -> str:
    """Return one line on how many tiles, classes and cases there are."""
    parts = ", ".join(f"{(collection.splits == name).sum()} {name}" for name in SPLITS)
    cases = len(np.unique(collection.cases))
    return (
        f"{len(collection)} tiles of {len(collection.classes)} classes and {cases} cases: {parts}"
    )
