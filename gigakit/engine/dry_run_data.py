"""Data for a few steps, where a cohort is not prepared: some of its slides stand for all."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gigakit.core.errors import SomeSlidesFailedError
from gigakit.core.files import digest8
from gigakit.data.datasets.slide_tiles import SlideTiles
from gigakit.engine.run_data import Prepared, prepare
from gigakit.registry import TASKS
from gigakit.tasks.model_cost import model_cost
from gigakit.tasks.prepared import PreparedFeatures, read_prepared
from gigakit.tasks.slide_tiling import PreparedTiles
from gigakit.tasks.tile_embedding import TileEmbedding
from gigakit.wsi.cohort import Cohort, SlideRow, read_cohort
from gigakit.wsi.features import write_features
from gigakit.wsi.pipeline import store_root
from gigakit.wsi.tiles import TileTable
from gigakit.wsi.tiling import TilingSettings, index_folder, tile_cohort

_SLIDES = 4


def prepare_probe(
    values: dict[str, Any], scratch: Path, announce: Callable[[str], None]
) -> Prepared:
    """Return what a few steps of a recipe can be made on, without preparing its cohort.

    Features or tiles that the recipe names are taken as they are. Of a cohort up to four slides,
    spread over the sizes of files, are tiled into ``scratch``, or their tiles taken from the
    cohort's stores; they are repeated to the number of the cohort's slides, so that the number of
    steps is the run's. In the place of tile embeddings there is noise of their width: no tile
    encoder runs, and times, memory and FLOPs are the same.

    Args:
        values: the recipe's.
        scratch: folder for what is prepared.
        announce: receives a line now and then.

    Raises:
        SomeSlidesFailedError: none of the slides can be used.
        ConfigError: the recipe names no data.
    """
    if values.get("features") or values.get("tiles") or not values.get("cohort"):
        return prepare(values, announce)
    cohort = read_cohort(values["cohort"])
    rows = _spread(cohort.slides, _SLIDES)
    some = Cohort(cohort.name, rows)
    task = TASKS.build(values["preparation"])
    stores = store_root(cohort, Path(values["out"]) if values.get("out") else None)
    tiling = getattr(task, "tiling", getattr(task, "settings", None))
    if isinstance(tiling, TilingSettings):
        _borrow_tiles(stores, scratch, tiling, rows)
    found: Prepared
    if isinstance(task, TileEmbedding):
        found = _with_noise(task, some, scratch, announce)
    else:
        found = task.run(some, scratch, announce=announce)
    _repeat(found, len(cohort.slides))
    found.notes = []
    if len(rows) < len(cohort.slides):
        found.notes = [f"{len(rows)} of {len(cohort.slides):,} slides stand for the cohort"]
    return found


def _with_noise(
    task: TileEmbedding, cohort: Cohort, scratch: Path, announce: Callable[[str], None]
) -> PreparedFeatures:
    """Tile slides, and write noise in the place of their tiles' embeddings."""
    tiled = tile_cohort(cohort, task.tiling, scratch, announce=announce)
    usable = [slide.slide_id for slide in tiled.slides if slide.tiles]
    if not usable:
        reasons = "; ".join(slide.reason for slide in tiled.slides)
        raise SomeSlidesFailedError(f"none of the slides probed can be used: {reasons}")
    paths = {row.slide_id: row for row in cohort.slides}
    tables = {name: TileTable.load(tiled.folder / f"{name}.h5") for name in usable}
    row = paths[usable[0]]
    pixels = SlideTiles(
        path=row.path,
        table=tables[row.slide_id],
        transform=task.model.transform,
        reader=task.tiling.reader,
        mpp=row.mpp,
        index_folder=index_folder(tiled.folder),
    )
    _, width = model_cost(task.model, pixels[0][0])
    folder = scratch / "features" / digest8({"tiling": task.tiling.digest, "width": width})
    for name, table in tables.items():
        if not (folder / f"{name}.h5").is_file():
            noise = np.random.default_rng(0).standard_normal((len(table), width))
            write_features(folder / f"{name}.h5", noise.astype(np.float32), table)
    prepared = read_prepared(folder, usable)
    prepared.overviews = tiled.folder / "overview"
    return prepared


def _borrow_tiles(
    stores: Path, scratch: Path, settings: TilingSettings, rows: Sequence[SlideRow]
) -> None:
    """Copy what the cohort's stores hold of some slides' tiles; it is checked where it is used."""
    held = Path("tiles") / settings.folder
    for name in (f"{row.slide_id}.h5" for row in rows):
        if (stores / held / name).is_file() and not (scratch / held / name).is_file():
            (scratch / held).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(stores / held / name, scratch / held / name)


def _repeat(prepared: Prepared, slides: int) -> None:
    """Repeat slides until there are as many as in the cohort."""
    if isinstance(prepared, PreparedFeatures | PreparedTiles) and len(prepared.slide_ids) < slides:
        for name in ("slide_ids", "lengths"):
            repeated = itertools.islice(itertools.cycle(getattr(prepared, name)), slides)
            setattr(prepared, name, list(repeated))


def _spread(rows: Sequence[SlideRow], count: int) -> tuple[SlideRow, ...]:
    """Return some slides, the middle one of each of ``count`` strata by file size."""
    if len(rows) <= count:
        return tuple(rows)
    order = sorted(rows, key=lambda row: row.path.stat().st_size if row.path.is_file() else 0)
    return tuple(
        strata[len(strata) // 2] for strata in np.array_split(np.array(order, object), count)
    )
