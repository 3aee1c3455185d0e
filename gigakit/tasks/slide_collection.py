"""Slides by one vector each, with what a table says of them: what is exported, searched and shown.

Shapes: N slides, D width of a vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.core.tables import read_rows
from gigakit.data.feature_folder import FeatureFolder
from gigakit.tasks.evaluation.slide_vectors import SlideVectors, read_slide_vectors

ID = "slide_id"


@dataclass(frozen=True)
class SlideCollection:
    """Slides, their vectors, and their labels.

    Args:
        slides: N names.
        columns: N texts each, by the name of the table's column; empty where unknown.
        vectors: one or several versions.
        notes: what a user should know.
    """

    slides: tuple[str, ...]
    columns: dict[str, tuple[str, ...]]
    vectors: SlideVectors
    notes: tuple[str, ...] = ()

    @property
    def matrix(self) -> np.ndarray:
        """The vectors ``(N, D)`` float32 where there is one version.

        Raises:
            ConfigError: there are several.
        """
        if len(self.vectors.versions) != 1:
            raise ConfigError(
                f"names {len(self.vectors.versions)} versions",
                where="--layers",
                fix="name one; 5+11 is the layers side by side",
            )
        return next(iter(self.vectors.versions.values()))


def read_collection(
    folder: Path,
    table: Path | None = None,
    *,
    pool: str = "mean",
    embedding: str = "mean",
    layers: str = "last",
) -> SlideCollection:
    """Read a vector of every slide of a folder, and what a table says of them.

    Args:
        folder: slide embeddings as ``gigakit embed`` writes them, or tile embeddings, pooled here.
        table: CSV with ``slide_id``; all its other columns are kept. Slides without a row have
            empty fields, rows without a slide are left out, and notes say so.
        pool: see :func:`~gigakit.tasks.evaluation.slide_vectors.read_slide_vectors`.
        embedding: alike.
        layers: alike.

    Raises:
        ConfigError: no such column, pool, embedding or layer, or a slide with two rows.
        StoreError: no files, or a damaged one.
    """
    slides = tuple(FeatureFolder(folder).files)
    vectors = read_slide_vectors(folder, slides, pool=pool, embedding=embedding, layers=layers)
    rows = {} if table is None else _rows(table)
    names = [name for name in next(iter(rows.values()), {}) if name != ID]
    columns = {
        name: tuple(rows[slide][name].strip() if slide in rows else "" for slide in slides)
        for name in names
    }
    notes = []
    if table is not None:
        without = sum(slide not in rows for slide in slides)
        unseen = len(set(rows) - set(slides))
        if without:
            notes.append(f"{without} of {len(slides)} slides have no row in {table.name}")
        if unseen:
            notes.append(f"{unseen} rows of {table.name} have no embedding")
    return SlideCollection(slides, columns, vectors, tuple(notes))


def _rows(table: Path) -> dict[str, dict[str, str]]:
    rows: dict[str, dict[str, str]] = {}
    for where, row in read_rows(table, ID):
        slide = row[ID].strip()
        if slide in rows:
            raise ConfigError(f"names the slide {slide} twice", where=where, fix="keep one row")
        rows[slide] = row
    return rows
