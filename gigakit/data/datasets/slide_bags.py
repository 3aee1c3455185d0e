"""Labelled slides as bags of stored tile embeddings."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from gigakit.core.errors import ConfigError, StoreError
from gigakit.core.seeding import fold_in, random_generator
from gigakit.data.feature_folder import FeatureFolder
from gigakit.data.slide_labels import SlideLabels, read_slide_labels
from gigakit.data.slide_splits import read_parts
from gigakit.registry import DATASETS
from gigakit.wsi.features import FeatureSet

# words that keep the uses of one draw's seed apart
_TILES, _STEP = 0, 1


@DATASETS.register_module()
class SlideBags(Dataset[dict[str, Any]]):
    """The slides of one split of a cohort: tile embeddings, places, labels.

    Everything random follows from ``(seed, draw)``; in evaluation the draw is the slide's number,
    so that every evaluation sees the same tiles in the same order.

    Args:
        root: folder of feature files, see :class:`gigakit.data.feature_folder.FeatureFolder`;
            ``None`` in a recipe takes ``features``.
        labels: CSV with ``slide_id``, ``patient_id`` and label columns; ``None`` in a recipe takes
            ``labels``.
        columns: the label columns; for survival the time and the event.
        kind: ``classification``, ``multi_label``, ``regression`` or ``survival``; ``None`` tells
            it by the columns' values.
        splits: CSV with the split column; ``None``: the table of labels.
        split_column: holds train, val, test or nothing.
        split: the slides to take; ``None`` takes all.
        patient_column: without it in the table each slide counts as a patient.
        slides_of_a_patient: ``all``, or the ``largest``, that of the most tiles.
        max_tiles: a longer slide gives so many random ones of its tiles.
        shuffle_tiles: permute tiles in training, as the published fine-tuning does.
        shuffle_tiles_in_evaluation: the published fine-tuning does it there too, so that its
            scores change from one evaluation to the next; here they do not.
        keep_in_memory: read each file once, in each loader worker; for cohorts that fit.
        coords: folder of HDF5 files whose coordinates count, for feature files without.
        step: side of a tile in the unit of the coordinates, where the files do not tell it.
        seed: of the order and choice of tiles.

    Attributes:
        data: the slides' names, patients and labels.

    Raises:
        ConfigError: no folder, table or column, no slide in the split, a patient in several
            splits, or an unusable value.
        StoreError: a slide has no feature file, or an empty one.
    """

    def __init__(
        self,
        *,
        root: str | None = None,
        labels: str | None = None,
        columns: Sequence[str] | None = None,
        kind: Literal["classification", "multi_label", "regression", "survival"] | None = None,
        splits: str | None = None,
        split_column: str = "split",
        split: Literal["train", "val", "test"] | None = None,
        patient_column: str = "patient_id",
        slides_of_a_patient: Literal["all", "largest"] = "all",
        max_tiles: int | None = None,
        shuffle_tiles: bool = False,
        shuffle_tiles_in_evaluation: bool = False,
        keep_in_memory: bool = False,
        coords: str | None = None,
        step: float | None = None,
        seed: int = 0,
    ) -> None:
        for name, given in {"root": root, "labels": labels, "columns": columns}.items():
            if not given:
                raise ConfigError("is not given", where=f"SlideBags.{name}", fix="set it")
        if slides_of_a_patient not in ("all", "largest"):
            raise ConfigError(
                f"got '{slides_of_a_patient}'",
                where="SlideBags.slides_of_a_patient",
                fix="give all or largest",
            )
        if max_tiles is not None and max_tiles < 1:
            raise ConfigError(f"got {max_tiles}", where="SlideBags.max_tiles", fix="1 or more")
        table = Path(str(labels))
        self.folder = FeatureFolder(
            Path(str(root)), coords=Path(coords) if coords else None, step=step
        )
        data = read_slide_labels(table, list(columns or ()), kind=kind, patient=patient_column)
        if split is not None:
            parts = read_parts(Path(splits) if splits else table, data, split_column)
            if split not in parts:
                raise ConfigError(f"no slide is in split '{split}'", where=splits or table)
            data = data.select(np.flatnonzero(parts == split))
        if slides_of_a_patient == "largest":
            data = data.select(largest_slides(data, self.folder))
        self.data = data
        self.files = self.folder.select(data.slides.tolist())
        self.max_tiles, self.seed = max_tiles, seed
        self._kept: dict[int, FeatureSet] | None = {} if keep_in_memory else None
        self.trains = split == "train"
        self.shuffle = shuffle_tiles if self.trains else shuffle_tiles_in_evaluation

    @property
    def metainfo(self) -> dict[str, Any]:
        """What a checkpoint keeps of the task: kind, label columns, names of classes."""
        task = self.data.task
        return {"kind": task.kind, "labels": list(task.labels), "classes": list(task.classes)}

    def __len__(self) -> int:
        return len(self.files)

    @functools.cached_property
    def lengths(self) -> list[int]:
        """Tiles of each item."""
        most = self.max_tiles
        tiles = [self.folder.shape(file)[0] for file in self.files]
        return [min(count, most) if most else count for count in tiles]

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        """Return one slide.

        Args:
            key: ``(index, draw)`` from a resumable sampler, or an index that is its own draw.

        Returns:
            ``features`` (L, D) float32, ``grid`` (L, 2) float64, ``label`` (() int64 of a class,
            else (T,) float32 with NaN where unknown), ``seed``, ``slide_id`` and ``patient_id``.

        Raises:
            StoreError: the feature file is damaged or has no tiles.
        """
        index, draw = key if isinstance(key, tuple) else (key, key)
        stored = self._read(index)
        generator = random_generator(self.seed, _TILES, draw if self.trains else index)
        chosen = self._tiles(len(stored.features), generator)
        return {
            "features": torch.from_numpy(stored.features[chosen]),
            "grid": torch.from_numpy(stored.grid[chosen]),
            "label": self._label(index),
            "seed": fold_in(self.seed, _STEP, draw),
            "slide_id": str(self.data.slides[index]),
            "patient_id": str(self.data.patients[index]),
        }

    def _read(self, index: int) -> FeatureSet:
        if self._kept is not None and index in self._kept:
            return self._kept[index]
        stored = self.folder.read(self.files[index])
        if not len(stored.features):
            raise StoreError(
                "has no tiles", where=self.files[index], fix="take the slide out of the table"
            )
        if self._kept is not None:
            self._kept[index] = stored
        return stored

    def _tiles(self, count: int, generator: np.random.Generator) -> np.ndarray | slice:
        """Return which tiles of a slide to take, in order."""
        cut = self.max_tiles is not None and count > self.max_tiles
        if not cut and not self.shuffle:
            return slice(None)
        order = generator.permutation(count)[: self.max_tiles]
        return order if self.shuffle else np.sort(order)

    def _label(self, index: int) -> Tensor:
        target = self.data.targets[index]
        if self.data.task.kind == "classification":
            return torch.tensor(int(target[0]))
        return torch.from_numpy(target.astype(np.float32))


def largest_slides(data: SlideLabels, folder: FeatureFolder) -> np.ndarray:
    """Return the rows of each patient's slide of the most tiles, the first of equals.

    Raises:
        StoreError: a slide has no feature file.
    """
    tiles = [folder.shape(file)[0] for file in folder.select(data.slides.tolist())]
    best: dict[str, int] = {}
    for row, patient in enumerate(data.patients.tolist()):
        if patient not in best or tiles[row] > tiles[best[patient]]:
            best[patient] = row
    return np.array(sorted(best.values()), dtype=np.int64)
