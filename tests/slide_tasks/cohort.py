"""A small labelled cohort: slides of random tiles, of which a few tell the slide's class."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from gigakit.wsi.features import write_features
from gigakit.wsi.tiles import TileTable

WIDTH = 8
CLASSES = ("benign", "tumour")
# for every ten slides
PARTS = ("train",) * 6 + ("val",) * 2 + ("test",) * 2


def write_bag(folder: Path, slide: str, features: np.ndarray) -> None:
    """Write a bag without places as a feature file: its tiles lie row by row in a square."""
    side = int(np.ceil(np.sqrt(len(features))))
    places = np.arange(len(features))
    grid = np.stack([places % side, places // side], axis=1).astype(np.float64)
    write_features(folder / f"{slide}.h5", features, TileTable.from_grid(slide, grid))


def write_cohort(folder: Path, slides: int = 20, seed: int = 0) -> tuple[Path, Path]:
    """Write feature files and ``labels.csv``; return the folder of the former and the latter.

    Columns: label (class), grade (0 to 2), a and b (0 / 1, b unknown now and then), burden (a
    number), time and event. A patient has two slides.
    """
    features = folder / "features"
    rows = []
    for number in range(slides):
        generator = np.random.default_rng([seed, number])
        positive = number // 2 % 2
        tiles = generator.standard_normal((generator.integers(6, 20), WIDTH))
        tiles[:3, 0] += 4.0 * positive
        slide = f"slide{number:02d}"
        write_bag(features, slide, tiles)
        hazard = 1.0 + 3.0 * positive
        rows.append(
            {
                "slide_id": slide,
                "patient_id": f"patient{number // 2:02d}",
                "split": PARTS[number % len(PARTS)],
                "label": CLASSES[positive],
                "grade": number // 2 % 3,
                "a": positive,
                "b": "" if number % 5 == 0 else 1 - positive,
                "burden": round(2.0 * positive + 0.1 * generator.random(), 3),
                "time": round(float(generator.exponential(10 / hazard)), 3),
                "event": int(number % 4 != 0),
            }
        )
    table = folder / "labels.csv"
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return features, table
