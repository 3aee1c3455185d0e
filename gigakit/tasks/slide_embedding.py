"""From feature files to slide embeddings: a frozen slide encoder over each slide's tiles."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from gigakit.core.errors import ConfigError, NoTissueError, StoreError
from gigakit.core.files import digest8, file_sha256, write_json
from gigakit.data.feature_folder import FeatureFolder
from gigakit.registry import TASKS
from gigakit.tasks.inference import (
    Announce,
    build_encoder,
    check_weights,
    choose_device,
    choose_precision,
    inference,
)
from gigakit.wsi.cohort import Cohort, SlideRow
from gigakit.wsi.features import FeatureSet
from gigakit.wsi.pipeline import CohortResult, run_cohort
from gigakit.wsi.slide_embeddings import holds_slide, write_slide_embeddings
from gigakit.wsi.work import SlideResult, SlideWork

LOGGER = logging.getLogger(__name__)

FORMAT = 1


@TASKS.register_module()
class SlideEmbedding:
    """Embed slides from their tiles' features: every layer, cls and mean pooling, in one pass.

    Args:
        encoder: config from BACKBONES of the slide encoder, its ``input_dim`` included.
        weights: file of its weights.
        name: names the folder of the embeddings.
        note: what a user of these embeddings should know; it is written into each file.
        precision: of matrix products: ``fp32``, ``bf16``, ``fp16``, or ``auto``: fp16 on CUDA, as
            published, else fp32. The residual stream stays in float32.
        device: such as ``cuda:1``; ``None`` takes CUDA or MPS where there is one.

    Raises:
        ConfigError: the encoder has no ``input_dim``, or there is no such device or precision.

    Source: Prov-GigaPath's released pipeline (``run_inference_with_slide_encoder``).
    Differs: tiles are in their file's order, row by row where gigakit made it, not in that of a
        folder's listing; no position is out of range to the right or below.
    """

    def __init__(
        self,
        *,
        encoder: dict[str, Any],
        weights: str | None = None,
        name: str = "slide",
        note: str = "",
        precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32",
        device: str | None = None,
    ) -> None:
        if not encoder.get("input_dim"):
            raise ConfigError(
                "the width of the tile embeddings is not told",
                where="slide_embedding.encoder.input_dim",
                fix="give it, 1536 for GigaPath",
            )
        self.encoder_config = encoder
        self.weights = Path(weights) if weights else None
        self.name = name
        self.note = note
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)

    def check(self) -> None:
        """Refuse weights that are not told, missing or do not fit, before other work is done.

        Raises:
            ConfigError: the task names no weights.
            CheckpointError: the weights are missing or do not fit.
        """
        if self.weights is None:
            raise ConfigError("no weights", where="slide_embedding.weights", fix="add --weights")
        check_weights(self.encoder_config, self.weights)

    def process(
        self,
        features: FeatureFolder,
        root: Path,
        *,
        slide_ids: list[str] | None = None,
        announce: Announce = LOGGER.info,
    ) -> CohortResult:
        """Embed every slide that is not embedded yet from these features.

        Args:
            features: the tiles' embeddings.
            root: folder of the cohort's stores; files go to ``slides/<name>-<digest>`` in it.
            slide_ids: the slides; ``None`` takes all.
            announce: receives a line for each slide that was worked on.

        Raises:
            ConfigError: the task names no weights.
            CheckpointError: the weights are missing or do not fit.
        """
        self.check()
        settings = self._settings(features)
        folder = root / "slides" / f"{self.name}-{digest8(settings)}"
        write_json(folder / "settings.json", settings)
        rows = tuple(SlideRow(file.stem, file) for file in features.select(slide_ids))
        return run_cohort(
            Cohort(self.name, rows), EmbedSlides(self, features, folder), announce=announce
        )

    def _settings(self, features: FeatureFolder) -> dict[str, Any]:
        """Return what decides the embeddings; its digest is in the folder's name."""
        # the name of gigakit's own folder tells its settings; another's tells nothing
        own = (features.root / "settings.json").is_file()
        source = features.root.name if own else str(features.root.resolve())
        return {
            "format": FORMAT,
            "features": source,
            "coords": str(features.coords.resolve()) if features.coords else None,
            "step": features.step,
            "encoder": self.encoder_config,
            "weights_sha256": self.weights_digest,
            "precision": self.precision,
        }

    @functools.cached_property
    def weights_digest(self) -> str | None:
        """SHA-256 of the weights' file."""
        return file_sha256(self.weights) if self.weights else None

    @functools.cached_property
    def _encoder(self) -> nn.Module:
        return build_encoder(self.encoder_config, self.weights, seed=0, device=self.device)

    def embed(self, found: FeatureSet) -> dict[str, np.ndarray]:
        """Return every layer's embeddings of one slide by name, see docs/embedding.md."""
        # positions are whole cells or simple fractions, which float32 holds; MPS has no float64
        dtype = torch.float32 if self.device.type == "mps" else torch.float64
        grid = torch.from_numpy(found.grid)[None].to(self.device, dtype)
        features = torch.from_numpy(found.features)[None].to(self.device)
        encoder: Any = self._encoder
        with inference(self.device, self.precision):
            layers = encoder.all_layers(features, grid)
        arrays = {k: v.float().cpu().numpy() for k, v in layers._asdict().items()}
        # the one slide of the batch
        return {k: v[:, 0] if v.ndim == 3 else v[0] for k, v in arrays.items()}  # noqa: PLR2004


@dataclass(frozen=True)
class EmbedSlides(SlideWork):
    """Embed a slide's tile embeddings into ``<slide_id>.h5``.

    Args:
        task: encoder and settings.
        features: the tiles' embeddings.
        folder: where the files go.
    """

    task: SlideEmbedding
    features: FeatureFolder
    folder: Path
    done: str = "embedded"

    def finished(self, row: SlideRow) -> SlideResult | None:
        """Return a slide's result if it was embedded before; see :meth:`SlideWork.finished`."""
        if holds_slide(self.folder / f"{row.slide_id}.h5", _stamp(row)):
            return SlideResult(row.slide_id, "skipped", self.features.shape(row.path)[0])
        return None

    def work(self, row: SlideRow) -> SlideResult:
        """Embed one slide.

        Raises:
            StoreError: its features do not fit the encoder.
            NoTissueError: it has no tiles.
        """
        task = self.task
        tiles, width = self.features.shape(row.path)
        if width != task.encoder_config["input_dim"]:
            raise StoreError(
                f"its embeddings have {width} numbers, the slide encoder takes "
                f"{task.encoder_config['input_dim']}",
                where=row.path,
                fix="embed the tiles with the slide encoder's own tile encoder",
            )
        found = self.features.read(row.path)
        if not len(found.features):
            raise NoTissueError("has no tiles", where=row.path)
        facts = {
            "slide_id": row.slide_id,
            "encoder": task.name,
            "weights_sha256": task.weights_digest or "",
            "precision": task.precision,
            "tiles": tiles,
            "cells_across_and_down": _cells(found, row.path),
            "features": str(row.path),
            "note": task.note,
        }
        path = self.folder / f"{row.slide_id}.h5"
        write_slide_embeddings(path, task.embed(found), {**facts, **_stamp(row)})
        return SlideResult(row.slide_id, "done", tiles)


def _stamp(row: SlideRow) -> dict[str, int]:
    status = row.path.stat()
    return {"features_size": status.st_size, "features_mtime_ns": status.st_mtime_ns}


def _cells(found: FeatureSet, path: Path) -> tuple[int, int]:
    """Return how many cells a slide's grid has across and down.

    Raises:
        StoreError: a position lies before the slide's corner, where no encoding is defined.
    """
    if (found.grid < 0).any():
        column, row = found.grid.min(axis=0)
        raise StoreError(
            f"its positions begin at column {column:g}, row {row:g}: coordinates are negative",
            where=path,
            fix="give coordinates from the slide's top-left corner",
        )
    across, down = np.floor(found.grid.max(axis=0)).astype(int) + 1
    return int(across), int(down)
