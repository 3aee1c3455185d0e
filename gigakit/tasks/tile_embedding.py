"""From a cohort of slides to feature files: tissue, tiles, embeddings, each done once."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from gigakit.core.errors import NoTissueError, SomeSlidesFailedError
from gigakit.core.files import digest8, file_sha256, write_json
from gigakit.data.datasets.slide_tiles import SlideTiles
from gigakit.registry import TASKS
from gigakit.tasks.inference import (
    Announce,
    Progress,
    build_encoder,
    check_weights,
    choose_device,
    choose_precision,
    inference,
)
from gigakit.tasks.prepared import PreparedFeatures, read_prepared
from gigakit.wsi.cohort import Cohort, SlideRow
from gigakit.wsi.executor import Executor
from gigakit.wsi.features import feature_writer, holds_features
from gigakit.wsi.pipeline import CohortResult, run_cohort, store_root
from gigakit.wsi.tiles import TileTable
from gigakit.wsi.tiling import TilingSettings, finished_table, index_folder, tile_cohort
from gigakit.wsi.work import SlideResult, SlideWork

LOGGER = logging.getLogger(__name__)

FORMAT = 1


@TASKS.register_module()
class TileEmbedding:
    """Tile a cohort and embed its tiles; what is done under the same settings is not done again.

    Args:
        segmenter: config from SEGMENTERS.
        tiler: config from TILERS.
        encoder: config from BACKBONES of the tile encoder.
        transform: config from AUGMENTATIONS, from a tile's pixels to the encoder's input.
        reader: config from READERS; ``None`` chooses by the file.
        weights: file of the encoder's weights; ``None`` leaves it as seeded, which is said aloud.
        name: names the folder of the embeddings; ``None`` takes the encoder's type and weights.
        seed: seed of an encoder without weights.
        batch_size: tiles a forward pass.
        num_workers: processes that read and transform tiles.
        precision: of matrix products: ``fp32``, ``bf16``, ``fp16``, or ``auto``: fp16 on CUDA, as
            published, else fp32.
        device: such as ``cuda:1``; ``None`` takes CUDA or MPS where there is one.

    Raises:
        ConfigError: there is no such device or precision.

    Source: Prov-GigaPath, Methods: preprocessing, and the frozen tile encoder's embeddings.
    """

    def __init__(
        self,
        *,
        segmenter: dict[str, Any],
        tiler: dict[str, Any],
        encoder: dict[str, Any],
        transform: dict[str, Any],
        reader: dict[str, Any] | None = None,
        weights: str | None = None,
        name: str | None = None,
        seed: int = 0,
        batch_size: int = 64,
        num_workers: int = 0,
        precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32",
        device: str | None = None,
    ) -> None:
        self.tiling = TilingSettings(segmenter=segmenter, tiler=tiler, reader=reader)
        self.encoder_config = encoder
        self.transform = transform
        self.weights = Path(weights) if weights else None
        self.seed = seed
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        stem = self.weights.stem if self.weights else f"untrained-seed{seed}"
        self.name = name or f"{encoder['type']}-{stem}"

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """What decides the embeddings; its digest is in the folder's name."""
        weights = file_sha256(self.weights) if self.weights else None
        settings = {
            "format": FORMAT,
            "tiling": self.tiling.digest,
            "encoder": self.encoder_config,
            "transform": self.transform,
            "weights_sha256": weights,
            "seed": None if weights else self.seed,
        }
        return settings if self.precision == "fp32" else settings | {"precision": self.precision}

    def run(
        self, cohort: Cohort, out: Path | None = None, *, announce: Announce = LOGGER.info
    ) -> PreparedFeatures:
        """Tile and embed a cohort; slides that fail or hold no tissue are left out.

        Args:
            cohort: the slides.
            out: folder of the stores; default ``work_dirs/stores/<cohort>``.
            announce: receives a line for each slide that was worked on.

        Raises:
            SomeSlidesFailedError: no slide is left.
            CheckpointError: the weights do not fit the encoder.
        """
        tiled, embedded = self.process(cohort, out, announce=announce)
        usable = [slide.slide_id for slide in embedded.slides if slide.tiles]
        if not usable:
            reasons = "; ".join(slide.reason for slide in [*tiled.slides, *embedded.slides])
            raise SomeSlidesFailedError(
                f"no slide of the cohort can be used: {reasons}", where=tiled.folder / "status.csv"
            )
        prepared = read_prepared(embedded.folder, usable)
        prepared.overviews = tiled.folder / "overview"
        lost = [s for s in tiled.slides + embedded.slides if s.state in ("failed", "empty")]
        if lost:
            prepared.notes.append(
                f"{len(lost)} of {len(cohort.slides)} slides are left out, see status.csv"
            )
        if self.weights is None:
            prepared.notes.append(
                f"the tile encoder is untrained (seed {self.seed}): its embeddings are random "
                "features of colour and texture"
            )
        return prepared

    def process(
        self,
        cohort: Cohort,
        out: Path | None = None,
        *,
        tiling: Executor | None = None,
        embedding: Executor | None = None,
        announce: Announce = LOGGER.info,
    ) -> tuple[CohortResult, CohortResult]:
        """Tile and embed a cohort, and return what became of each slide in both stages.

        Args:
            cohort: the slides.
            out: folder of the stores; default ``work_dirs/stores/<cohort>``.
            tiling: where slides are tiled; this process by default.
            embedding: where tiles are embedded; this process by default.
            announce: receives a line for each slide that was worked on; a plain function, since it
                travels to worker processes.

        Raises:
            CheckpointError: the weights are missing or do not fit the encoder.
        """
        check_weights(self.encoder_config, self.weights)
        root = store_root(cohort, out)
        tiled = tile_cohort(cohort, self.tiling, root, executor=tiling, announce=announce)
        done = {slide.slide_id for slide in tiled.slides if slide.tiles}
        settings = self.settings
        folder = root / "features" / f"{self.name}-{digest8(settings)}"
        write_json(folder / "settings.json", settings)
        rest = Cohort(cohort.name, tuple(row for row in cohort.slides if row.slide_id in done))
        work = EmbedTiles(self, tiled.folder, folder, announce)
        embedded = run_cohort(rest, work, executor=embedding, announce=announce)
        return tiled, embedded

    def batches(self, pixels: SlideTiles) -> Iterator[np.ndarray]:
        """Yield the embeddings of a slide's tiles, ``(N, D)`` float32 a batch, in their order."""
        loader = DataLoader(
            pixels,
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            # without its own, a loader draws its workers' seed from the global generator
            generator=torch.Generator(),
        )
        for batch in loader:
            with inference(self.device, self.precision):
                embedded = self._encoder(batch.to(self.device)).float().cpu()
            yield embedded.numpy()

    @functools.cached_property
    def _encoder(self) -> nn.Module:
        return build_encoder(self.encoder_config, self.weights, seed=self.seed, device=self.device)


@dataclass(frozen=True)
class EmbedTiles(SlideWork):
    """Embed a slide's tiles into ``<slide_id>.h5``.

    Args:
        task: encoder and settings; builds its encoder in the process that works.
        tiles: folder of the tile tables.
        folder: where the files go.
        announce: receives lines on how far a long slide is.
    """

    task: TileEmbedding
    tiles: Path
    folder: Path
    announce: Announce = LOGGER.info
    done: str = "embedded"

    def finished(self, row: SlideRow) -> SlideResult | None:
        """Return a slide's result if it was embedded before; see :meth:`SlideWork.finished`."""
        table = self._table(row)
        if holds_features(self.folder / f"{row.slide_id}.h5", table):
            return SlideResult(row.slide_id, "skipped", len(table))
        return None

    def work(self, row: SlideRow) -> SlideResult:
        """Embed one slide's tiles.

        Raises:
            SlideError: a tile cannot be read.
            NoTissueError: the slide has no tiles.
        """
        table, path = self._table(row), self.folder / f"{row.slide_id}.h5"
        pixels = SlideTiles(
            path=row.path,
            table=table,
            transform=self.task.transform,
            reader=self.task.tiling.reader,
            mpp=row.mpp,
            index_folder=index_folder(self.tiles),
        )
        attrs = {
            "encoder": self.task.name,
            "embedding": "tile, cls token after the final norm",
            "precision": self.task.precision,
        }
        progress = Progress(self.announce, row.slide_id, len(table))
        # batch by batch, so that memory does not grow with the slide
        with feature_writer(path, table, attrs) as writer:
            for batch in self.task.batches(pixels):
                writer.append(batch)
                progress.advance(len(batch))
        return SlideResult(row.slide_id, "done", len(table))

    def _table(self, row: SlideRow) -> TileTable:
        table = finished_table(self.tiles / f"{row.slide_id}.h5", row)
        if table is None:
            raise NoTissueError("has no tiles", where=row.path)
        return table
