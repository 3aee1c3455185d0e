"""Tile a slide and a cohort: tissue, tiles, an overview picture."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gigakit.core.errors import NoTissueError, StoreError
from gigakit.core.files import atomic_path, digest8, write_json
from gigakit.registry import QUALITIES, SEGMENTERS, TILERS
from gigakit.wsi.cohort import Cohort, SlideRow
from gigakit.wsi.executor import Executor
from gigakit.wsi.overview import draw_overview, encode_jpeg, overview_mpp
from gigakit.wsi.pipeline import Announce, CohortResult, run_cohort
from gigakit.wsi.quality import check_limits, measure_qualities
from gigakit.wsi.reduction import read_reduced
from gigakit.wsi.slide import Slide, open_slide
from gigakit.wsi.tiles import FORMAT, TileTable
from gigakit.wsi.work import SlideResult, SlideWork

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class TilingSettings:
    """What decides where a slide's tiles lie.

    Args:
        segmenter: config from SEGMENTERS.
        tiler: config from TILERS.
        reader: config from READERS; ``None`` chooses by the file.
        quality: configs from QUALITIES: what is measured of each tile.
        quality_limits: least and largest value by column; tiles beyond them are kept, and drawn in
            another colour.
    """

    segmenter: dict[str, Any]
    tiler: dict[str, Any]
    reader: dict[str, Any] | None = None
    quality: Sequence[dict[str, Any]] = ()
    quality_limits: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Eight digits that name these settings."""
        return digest8({"format": FORMAT, **self.described})

    @property
    def described(self) -> dict[str, Any]:
        """What decides the files' content."""
        described: dict[str, Any] = {
            "segmenter": self.segmenter, "tiler": self.tiler, "reader": self.reader,
        }  # fmt: skip
        return described | ({"quality": list(self.quality)} if self.quality else {})

    @property
    def folder(self) -> str:
        """Name of the folder of these tiles."""
        return f"{TILERS.build(self.tiler).name}-{self.digest}"


def tile_cohort(
    cohort: Cohort,
    settings: TilingSettings,
    root: Path,
    *,
    executor: Executor | None = None,
    announce: Announce = LOGGER.info,
) -> CohortResult:
    """Tile every slide that is not tiled yet under these settings.

    Args:
        cohort: the slides.
        settings: how.
        root: folder of the cohort's stores.
        executor: where; this process by default.
        announce: receives a line for each slide that is worked on.

    Returns:
        The state of each slide; also written to ``status.csv``.
    """
    folder = root / "tiles" / settings.folder
    write_json(folder / "settings.json", settings.described)
    # what cannot be built concerns all slides, and is told before the first
    SEGMENTERS.build(settings.segmenter)
    qualities = [QUALITIES.build(quality) for quality in settings.quality]
    check_limits(settings.quality_limits, [quality.column for quality in qualities])
    return run_cohort(cohort, TileSlides(settings, folder), executor=executor, announce=announce)


@dataclass(frozen=True)
class TileSlides(SlideWork):
    """Tile a slide into ``<slide_id>.h5`` and ``overview/<slide_id>.jpg``.

    A file made from another version of the slide (size or time of change) is made anew.

    Args:
        settings: how.
        folder: where the files go.
    """

    settings: TilingSettings
    folder: Path
    done: str = "tiled"

    def finished(self, row: SlideRow) -> SlideResult | None:
        """Return a slide's result if it was tiled before; see :meth:`SlideWork.finished`.

        Raises:
            NoTissueError: it was, and no tile holds enough tissue.
        """
        table = finished_table(self.folder / f"{row.slide_id}.h5", row)
        if table is not None and not len(table):
            raise NoTissueError(_emptiness(table), where=row.path)
        return None if table is None else SlideResult(row.slide_id, "skipped", len(table))

    def work(self, row: SlideRow) -> SlideResult:
        """Tile one slide.

        Raises:
            SlideError: the slide cannot be read, or tells no resolution.
            NoTissueError: no tile holds enough tissue.
        """
        path, settings = self.folder / f"{row.slide_id}.h5", self.settings
        segmenter, tiler = SEGMENTERS.build(settings.segmenter), TILERS.build(settings.tiler)
        qualities = [QUALITIES.build(quality) for quality in settings.quality]
        index = index_folder(self.folder)
        with open_slide(row.path, reader=settings.reader, mpp=row.mpp, index_folder=index) as slide:
            image, mpp, damaged = read_reduced(slide, segmenter.mask_mpp)
            mask = segmenter.segment(image)
            table: TileTable = tiler.tile(slide, mask, row.slide_id)
            table.columns.update(measure_qualities(slide, table, qualities, image))
            image, image_mpp = _overview_image(slide, image, mpp)
        table.attrs.update({"source": str(row.path), **source_stamp(row)})
        table.attrs.update(
            {"damaged_share": damaged, "mask_mpp": mpp, "segmenter": json.dumps(settings.segmenter)}
        )
        with atomic_path(self.folder / "overview" / f"{row.slide_id}.jpg") as temporary:
            picture = draw_overview(image, mask, table, image_mpp, settings.quality_limits)
            temporary.write_bytes(encode_jpeg(picture))
        # an empty slide's too: it is not looked at again
        table.save(path, mask)
        if not len(table):
            raise NoTissueError(_emptiness(table), where=row.path)
        reason = f"{damaged:.2%} of it is damaged and taken for glass" if damaged else ""
        return SlideResult(row.slide_id, "done", len(table), reason=reason)


def index_folder(folder: Path) -> Path:
    """Return where the stores of ``<root>/tiles/<settings>`` keep the places of slides' tiles."""
    return folder.parents[1] / "index"


def _overview_image(
    slide: Slide, mask_image: np.ndarray, mask_mpp: tuple[float, float]
) -> tuple[np.ndarray, tuple[float, float]]:
    """Return the picture's ground: the mask's image, or a finer one of a small slide."""
    wanted = overview_mpp(slide)
    return read_reduced(slide, wanted)[:2] if wanted < max(mask_mpp) else (mask_image, mask_mpp)


def _emptiness(table: TileTable) -> str:
    cells = table.attrs["cells"]
    if cells:
        return f"none of its {cells} tiles holds enough tissue"
    width, height = table.attrs["slide_size"]
    across, down = table.footprint
    return f"its {width} x {height} px hold no whole tile of {across:.0f} x {down:.0f} px"


def finished_table(path: Path, row: SlideRow) -> TileTable | None:
    """Return a slide's tile table if it is whole and of this very file."""
    if not path.is_file():
        return None
    try:
        table = TileTable.load(path)
    except StoreError as error:
        LOGGER.warning("%s; it is made anew", error)
        return None
    stamp = source_stamp(row)
    return table if all(table.attrs.get(key) == value for key, value in stamp.items()) else None


def source_stamp(row: SlideRow) -> dict[str, float]:
    """Return what tells whether a slide is the same file, read at the same resolution."""
    given = -1.0 if row.mpp is None else row.mpp
    if not row.path.exists():
        return {"source_size": -1, "source_mtime_ns": -1, "given_mpp": given}
    status = row.path.stat()
    return {
        "source_size": status.st_size,
        "source_mtime_ns": status.st_mtime_ns,
        "given_mpp": given,
    }
