"""From a cohort of slides to feature files: tissue, tiles, embeddings, each done once."""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import Any, Literal

from gigakit.core.assets import find_weights
from gigakit.core.errors import (
    ConfigError,
    SomeSlidesFailedError,
)
from gigakit.core.files import digest8, file_sha256, write_json
from gigakit.registry import TASKS
from gigakit.tasks.embed_tiles import EmbedTiles
from gigakit.tasks.inference import (
    Announce,
    check_weights,
)
from gigakit.tasks.own_encoder import read_own_encoder
from gigakit.tasks.prepared import PreparedFeatures, read_prepared
from gigakit.tasks.tile_model import TileModel
from gigakit.wsi.cohort import Cohort
from gigakit.wsi.executor import Executor
from gigakit.wsi.executors.local_executor import LocalExecutor
from gigakit.wsi.pipeline import CohortResult, run_cohort, store_root
from gigakit.wsi.tiling import TilingSettings, tile_cohort

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
        weights: file of the encoder's weights, or the name of one that ships with gigakit (see
            ``gigakit list encoder``); ``None`` leaves it as seeded. Both of these are said aloud.
        name: names the folder of the embeddings; ``None`` takes the encoder's type and weights.
        seed: seed of an encoder without weights.
        batch_size: tiles a forward pass.
        batch_tokens: tokens a forward pass instead, so that one setting fits tiles and patches of
            any size.
        num_workers: processes that read and transform tiles; 0 takes a thread of this one. Either
            works on the next batches while the model computes.
        precision: of matrix products: ``fp32``, ``bf16``, ``fp16``, or ``auto``: fp16 on CUDA, as
            published, else fp32.
        device: such as ``cuda:1``; ``None`` takes CUDA or MPS where there is one. Several, such as
            ``cuda:0,cuda:1``, embed slides side by side, a process for each.
        max_bad_share: share of a slide's tiles that may be damaged; they are marked and left out.
            Beyond it the slide fails.
        quality: configs from QUALITIES: what is measured of each tile while tiling.
        subfolders: put feature files into 256 folders by a hash of their names, for cohorts of more
            slides than a folder should hold; other tools expect them flat.
        quality_limits: least and largest value by column of quality, such as
            ``dict(pen=[0, 0.05], blur=[0, 0.6])``; tiles beyond them are not embedded.

    Raises:
        ConfigError: there is no such device or precision, a share is none, or the encoder or
            transform is not that of the weights that ship with gigakit.
        CheckpointError: no weights of that name.

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
        max_bad_share: float = 0.01,
        quality: list[dict[str, Any]] | None = None,
        quality_limits: dict[str, list[float]] | None = None,
        batch_tokens: int | None = None,
        subfolders: bool = False,
    ) -> None:
        if not 0 <= max_bad_share <= 1:
            raise ConfigError(f"got {max_bad_share}", where="max_bad_share", fix="from 0 to 1")
        self.tiling = TilingSettings(
            segmenter=segmenter,
            tiler=tiler,
            reader=reader,
            quality=quality or [],
            quality_limits=quality_limits or {},
        )
        file = find_weights(weights) if weights else None
        self.own = read_own_encoder(file) if file else None
        if self.own is not None:
            self.own.check(encoder, transform)
        self.model = TileModel(
            encoder,
            transform,
            weights=file,
            seed=seed,
            batch_size=batch_size,
            batch_tokens=batch_tokens,
            num_workers=num_workers,
            precision=precision,
            device=device,
        )
        self.max_bad_share = max_bad_share
        self.subfolders = subfolders
        stem = self.model.weights.stem if self.model.weights else f"untrained-seed{seed}"
        self.name = name or f"{encoder['type']}-{stem}"

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """What decides the embeddings; its digest is in the folder's name."""
        model = self.model
        weights = file_sha256(model.weights) if model.weights else None
        settings = {
            "format": FORMAT,
            "tiling": self.tiling.digest,
            "encoder": model.config,
            "transform": model.transform,
            "weights_sha256": weights,
            "seed": None if weights else model.seed,
        }
        if self.tiling.quality_limits:
            settings["quality_limits"] = self.tiling.quality_limits
        return settings if model.precision == "fp32" else settings | {"precision": model.precision}

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
        if self.own is not None:
            prepared.notes.append(self.own.note)
        if self.model.weights is None:
            prepared.notes.append(
                f"the tile encoder is untrained (seed {self.model.seed}): its embeddings are "
                "random features of colour and texture"
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
        check_weights(self.model.config, self.model.weights)
        root = store_root(cohort, out)
        tiled = tile_cohort(cohort, self.tiling, root, executor=tiling, announce=announce)
        done = {slide.slide_id for slide in tiled.slides if slide.tiles}
        settings = self.settings
        folder = root / "features" / f"{self.name}-{digest8(settings)}"
        write_json(folder / "settings.json", settings)
        rest = Cohort(cohort.name, tuple(row for row in cohort.slides if row.slide_id in done))
        work = EmbedTiles(
            self.model,
            self.tiling,
            tiled.folder,
            folder,
            name=self.name,
            max_bad_share=self.max_bad_share,
            subfolders=self.subfolders,
            announce=announce,
        )
        if embedding is None and len(self.model.devices) > 1:
            embedding = LocalExecutor(workers=len(self.model.devices))
        embedded = run_cohort(rest, work, executor=embedding, announce=announce)
        return tiled, embedded
