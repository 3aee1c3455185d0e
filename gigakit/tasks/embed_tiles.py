"""The work of embedding one slide's tiles."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from gigakit.core.errors import NoTissueError, SlideError
from gigakit.data.datasets.slide_tiles import SlideTiles
from gigakit.tasks.inference import Announce, Progress
from gigakit.tasks.tile_model import TileModel
from gigakit.wsi.cohort import SlideRow
from gigakit.wsi.features import as_float16, feature_path, feature_writer, holds_features
from gigakit.wsi.partial_features import PartialFeatures
from gigakit.wsi.quality import within_limits
from gigakit.wsi.tiles import TileTable
from gigakit.wsi.tiling import TilingSettings, finished_table, index_folder
from gigakit.wsi.work import SlideResult, SlideWork

LOGGER = logging.getLogger(__name__)

PARTIAL = ".partial"


@dataclass(frozen=True)
class EmbedTiles(SlideWork):
    """Embed a slide's tiles into ``<slide_id>.h5``.

    Args:
        model: the encoder, built in the process that works.
        tiling: how the slides were tiled and read, and which tiles are left out.
        tiles: folder of the tile tables.
        folder: where the files go.
        name: of the encoder, for the files' attributes.
        max_bad_share: share of a slide's tiles that may be damaged.
        subfolders: files go to sub-folders by hash.
        announce: receives lines on how far a long slide is.
    """

    model: TileModel
    tiling: TilingSettings
    tiles: Path
    folder: Path
    name: str
    max_bad_share: float
    subfolders: bool
    announce: Announce = LOGGER.info
    done: str = "embedded"

    def finished(self, row: SlideRow) -> SlideResult | None:
        """Return a slide's result if it was embedded before; see :meth:`SlideWork.finished`."""
        table = self._table(row)
        if any(holds_features(path, table) for path in self._paths(row)):
            return SlideResult(row.slide_id, "skipped", len(table))
        return None

    def work(self, row: SlideRow) -> SlideResult:
        """Embed one slide's tiles.

        Raises:
            SlideError: a tile cannot be read.
            NoTissueError: the slide has no tiles.
        """
        table = self._table(row)
        path, other = self._paths(row)
        pixels = SlideTiles(
            path=row.path,
            table=table,
            transform=self.model.transform,
            reader=self.tiling.reader,
            mpp=row.mpp,
            index_folder=index_folder(self.tiles),
        )
        attrs = {
            "encoder": self.name,
            "embedding": "tile, cls token after the final norm",
            "precision": self.model.precision,
        }
        identity = [self.model.tiles_a_pass, table.attrs.get("source_mtime_ns"), len(table)]
        partial = PartialFeatures(self.folder / PARTIAL, row.slide_id, identity)
        progress = Progress(self.announce, row.slide_id, len(table), partial.count)
        waited = self.model.waited.seconds
        for batch, bad in self.model.batches(pixels, partial.count):
            partial.append(as_float16(batch, partial.count, path), bad)
            self._refuse_many_bad(len(partial.bad), row, len(table))
            progress.advance(len(batch))
        with feature_writer(path, table, attrs) as writer:
            for features in partial.chunks():
                writer.append(features)
            if partial.bad:
                writer.mark_bad(partial.bad)
        partial.remove()
        # of other tiles, made before with or without sub-folders
        other.unlink(missing_ok=True)
        count = len(table) - len(partial.bad)
        reason = f"{len(partial.bad)} of {len(table)} tiles are damaged" if partial.bad else ""
        waited = self.model.waited.seconds - waited
        return SlideResult(row.slide_id, "done", count, reason=reason, waited=waited)

    def for_worker(self, number: int) -> EmbedTiles:
        """Return the work on a device of its own; see :meth:`SlideWork.for_worker`."""
        return replace(self, model=self.model.on_device(number))

    def _paths(self, row: SlideRow) -> tuple[Path, Path]:
        """Return where a slide's features go, and where they would with the other setting."""
        flat, hashed = (
            feature_path(self.folder, row.slide_id, subfolders=choice) for choice in (False, True)
        )
        return (hashed, flat) if self.subfolders else (flat, hashed)

    def _refuse_many_bad(self, bad: int, row: SlideRow, tiles: int) -> None:
        if bad > self.max_bad_share * tiles:
            raise SlideError(
                f"{bad} of its first tiles are damaged, more than {self.max_bad_share:.1%} of "
                f"all {tiles}",
                where=row.path,
                fix="copy it again, or raise preparation.max_bad_share",
            )

    def _table(self, row: SlideRow) -> TileTable:
        table = finished_table(self.tiles / f"{row.slide_id}.h5", row)
        if table is None:
            raise NoTissueError("has no tiles", where=row.path)
        kept, _ = within_limits(table, self.tiling.quality_limits)
        if not kept.any():
            raise NoTissueError(
                f"none of its {len(table)} tiles is within quality_limits", where=row.path
            )
        return table.select(kept)
