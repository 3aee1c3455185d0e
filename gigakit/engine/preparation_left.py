"""What a training would prepare first, told from the files that are there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gigakit.core.files import digest8
from gigakit.registry import TASKS
from gigakit.tasks.slide_tiling import SlideTiling
from gigakit.tasks.tile_embedding import TileEmbedding
from gigakit.wsi.cohort import read_cohort
from gigakit.wsi.features import feature_path
from gigakit.wsi.pipeline import store_root


def preparation_left(values: Mapping[str, Any]) -> list[str]:
    """Return a line for each thing that a training would make before its first step.

    Only whether files are there is looked at. The sample slide is fetched where it is missing.

    Args:
        values: a recipe's, as trained.

    Raises:
        ConfigError: there is no such cohort, or its preparation cannot be built.
    """
    if values.get("features") or values.get("tiles"):
        return []
    if not values.get("cohort") or not values.get("preparation"):
        return []
    cohort = read_cohort(values["cohort"])
    names = [row.slide_id for row in cohort.slides]
    stores = store_root(cohort, Path(values["out"]) if values.get("out") else None)
    task = TASKS.build(values["preparation"])
    lines = []
    if isinstance(task, TileEmbedding | SlideTiling):
        settings = task.tiling if isinstance(task, TileEmbedding) else task.settings
        tiles = stores / "tiles" / settings.folder
        lines += _missing("tile", names, tiles, lambda name: tiles / f"{name}.h5")
    if isinstance(task, TileEmbedding):
        folder = stores / "features" / f"{task.name}-{digest8(task.settings)}"
        lines += _missing(
            "embed",
            names,
            folder,
            lambda name: feature_path(folder, name, subfolders=task.subfolders),
        )
    return lines


def _missing(verb: str, names: list[str], folder: Path, path: Callable[[str], Path]) -> list[str]:
    left = sum(not path(name).is_file() for name in names)
    return [f"{verb} {left:,} of {len(names):,} slides, into {folder}"] if left else []
