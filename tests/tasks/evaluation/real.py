"""Real cohorts as feature files and a table of labels."""

from __future__ import annotations

import csv
from pathlib import Path

import h5py
import numpy as np


def write_bags(folder: Path, archive: Path) -> Path:
    """Write a set of ``mil_bags`` as a feature file a bag; return the table of labels."""
    with np.load(archive) as arrays:
        features, bag_of, bags, labels = (
            arrays[name] for name in ("features", "bag_id", "bags", "bag_label")
        )
    folder.mkdir(parents=True)
    for bag in bags:
        write_features(folder / f"bag{bag}.h5", features[bag_of == bag])
    table = folder.parent / "labels.csv"
    rows = [[f"bag{bag}", f"bag{bag}", int(label)] for bag, label in zip(bags, labels, strict=True)]
    write_rows(table, ["slide_id", "patient_id", "label"], rows)
    return table


def write_features(path: Path, features: np.ndarray) -> None:
    """Write tile features in a row, as a feature file."""
    with h5py.File(path, "w") as file:
        file["features"] = features.astype(np.float32)
        file["coords"] = np.stack([np.arange(len(features)) * 256, np.zeros(len(features))], 1)
        file["coords"].attrs["patch_size_level0"] = 256


def write_rows(path: Path, header, rows) -> None:
    """Write a table."""
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
