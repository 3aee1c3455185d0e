"""From a cohort of slides to places of tiles, whose pixels are read from the slides."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gigakit.core.errors import SomeSlidesFailedError
from gigakit.registry import TASKS
from gigakit.tasks.inference import Announce
from gigakit.wsi.cohort import Cohort
from gigakit.wsi.pipeline import store_root
from gigakit.wsi.tiling import TilingSettings, tile_cohort

LOGGER = logging.getLogger(__name__)


@dataclass
class PreparedTiles:
    """Tile stores of a cohort.

    Args:
        folder: where ``<slide_id>.h5`` lie.
        slide_ids: the slides to use.
        lengths: tiles of each.
        overviews: folder of overview pictures.
        notes: what a user should know about these tiles.
    """

    folder: Path
    slide_ids: list[str]
    lengths: list[int]
    overviews: Path | None = None
    notes: list[str] = field(default_factory=list)


@TASKS.register_module()
class SlideTiling:
    """Tile a cohort; what is done under the same settings is not done again.

    Args:
        segmenter: config from SEGMENTERS.
        tiler: config from TILERS.
        reader: config from READERS; ``None`` chooses by the file.
        quality: configs from QUALITIES: what is measured of each tile.
        quality_limits: least and largest value by column of quality, such as
            ``dict(pen=[0, 0.05])``; tiles beyond them are not trained on.

    Source: Prov-GigaPath, Methods, preprocessing.
    """

    def __init__(
        self,
        *,
        segmenter: dict[str, Any],
        tiler: dict[str, Any],
        reader: dict[str, Any] | None = None,
        quality: Sequence[dict[str, Any]] = (),
        quality_limits: dict[str, list[float]] | None = None,
    ) -> None:
        self.settings = TilingSettings(
            segmenter=segmenter,
            tiler=tiler,
            reader=reader,
            quality=quality,
            quality_limits=quality_limits or {},
        )

    def run(
        self, cohort: Cohort, out: Path | None = None, *, announce: Announce = LOGGER.info
    ) -> PreparedTiles:
        """Tile a cohort; slides that fail or hold no tissue are left out.

        Args:
            cohort: the slides.
            out: folder of the stores; default ``work_dirs/stores/<cohort>``.
            announce: receives a line for each slide that was worked on.

        Raises:
            SomeSlidesFailedError: no slide is left.
        """
        tiled = tile_cohort(cohort, self.settings, store_root(cohort, out), announce=announce)
        usable = [slide for slide in tiled.slides if slide.tiles]
        if not usable:
            reasons = "; ".join(slide.reason for slide in tiled.slides)
            raise SomeSlidesFailedError(
                f"no slide of the cohort can be used: {reasons}", where=tiled.status
            )
        prepared = PreparedTiles(
            folder=tiled.folder,
            slide_ids=[slide.slide_id for slide in usable],
            lengths=[slide.tiles for slide in usable],
            overviews=tiled.folder / "overview",
        )
        if lost := len(tiled.slides) - len(usable):
            prepared.notes.append(
                f"{lost} of {len(tiled.slides)} slides are left out, see status.csv"
            )
        return prepared
