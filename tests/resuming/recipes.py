"""A recipe as a run in a test takes it: resolved, filled in from its data, plain values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gigakit.config import load_config
from gigakit.engine.run_data import OWN_KEYS, fill_in, prepare
from gigakit.wsi.features import write_features
from gigakit.wsi.tiles import TileTable


def resolved(recipe: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what :func:`gigakit.engine.train.train` takes of a recipe.

    Args:
        recipe: path or name.
        changes: values by dotted key.
    """
    values = load_config(recipe, preset=changes).values
    fill_in(values, prepare(values, lambda line: None))
    return {key: value for key, value in values.items() if key not in OWN_KEYS}


def write_slides(folder: Path, slides: int = 3, width: int = 12) -> Path:
    """Write feature files of synthetic slides of 40, 50, 60, ... tiles, and return the folder."""
    for number in range(slides):
        generator = np.random.default_rng(number)
        columns, rows = np.meshgrid(np.arange(10), np.arange(4 + number))
        grid = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float64)
        table = TileTable.from_grid(f"slide{number}", grid)
        smooth = np.sin(grid @ generator.standard_normal((2, width)) / 3)
        noise = generator.standard_normal(smooth.shape)
        write_features(folder / f"slide{number}.h5", smooth + 0.1 * noise, table)
    return folder
