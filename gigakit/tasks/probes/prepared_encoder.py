"""What the tile encoder of a preparation is worth on labelled tiles, asked once an encoder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gigakit.core.errors import ConfigError
from gigakit.core.files import digest8, write_json
from gigakit.registry import TASKS
from gigakit.tasks.inference import Announce
from gigakit.tasks.metrics.tile_probe import TileProbe
from gigakit.tasks.probes.embedding import embed_collection
from gigakit.tasks.probes.tile_collection import TileCollection, read_collection
from gigakit.tasks.tile_model import TileModel

PREFIX = "tile_encoder/"
_FORMAT = 1
# settings of a preparation that do not concern its encoder
_OF_TILES = ("tiling", "quality_limits")


def score_tile_encoder(
    preparation: Mapping[str, Any],
    labelled: Mapping[str, Any],
    stores: Path,
    announce: Announce,
) -> dict[str, float]:
    """Score a preparation's tile encoder on labelled tiles, frozen, as it embeds slides' tiles.

    The scores are TileProbe's with a linear probe: learnt from train, of split val; the test tiles
    are left for ``gigakit probe``. They are kept among the stores, whatever the tiling, and read
    there again.

    Args:
        preparation: config from TASKS, with a tile encoder.
        labelled: ``root`` of the tiles, and perhaps ``table``.
        stores: folder of the stores, of which ``probes`` keeps the scores.
        announce: receives lines on how far it is.

    Returns:
        Scores by name, such as ``tile_encoder/linear_balanced_accuracy``.

    Raises:
        ConfigError: scikit-learn is not installed, the preparation has no tile encoder, or the
            tiles cannot be used.
        StoreError: a tile is damaged.
    """
    root, table = _places(labelled)
    probe = TileProbe(linear=True)
    task = TASKS.build(dict(preparation))
    model, settings = getattr(task, "model", None), getattr(task, "settings", None)
    if not isinstance(model, TileModel) or settings is None:
        raise ConfigError(
            f"'{preparation.get('type')}' has no tile encoder to score",
            where="labelled",
            fix="leave it out",
        )
    encoder = {name: value for name, value in settings.items() if name not in _OF_TILES}
    stamps = [(str(path.absolute()), *_stamp(path)) for path in (root, table) if path]
    kept = stores / "probes" / f"{task.name}-{digest8([_FORMAT, encoder, stamps])}.json"
    if kept.is_file():
        scores: dict[str, float] = json.loads(kept.read_text(encoding="utf-8"))
        return scores
    tiles = read_collection(root, table=table)
    features = embed_collection(
        _Embedding(model, kept.stem),
        tiles,
        batch_size=model.batch_size,
        max_bad_share=0.0,
        announce=announce,
    ).features
    found = probe.compute_metrics(_entries(tiles, features))
    scores = {f"{PREFIX}{name}": value for name, value in found.items()}
    write_json(kept, scores)
    accuracy = scores[f"{PREFIX}linear_balanced_accuracy"]
    announce(f"{kept.stem}: linear probe on {len(tiles)} labelled tiles, val: {accuracy:.4f}")
    return scores


class _Embedding:
    """A preparation's encoder, as probes use one."""

    def __init__(self, model: TileModel, name: str) -> None:
        self.name = name
        self._model = model

    def embed(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        """Return ``(B, D)`` float32 of tiles ``(H, W, 3)`` uint8 RGB."""
        return self._model.embed(pixels)


def _entries(tiles: TileCollection, features: np.ndarray) -> list[tuple[np.ndarray, int, str, str]]:
    columns = (tiles.labels.tolist(), tiles.cases.tolist(), tiles.splits.tolist())
    return list(zip(features, *columns, strict=True))


def _places(labelled: Mapping[str, Any]) -> tuple[Path, Path | None]:
    root, table = labelled.get("root"), labelled.get("table")
    if not isinstance(root, str):
        raise ConfigError(
            f"got {dict(labelled)!r}", where="labelled", fix="give dict(root=, table=)"
        )
    for path in (root, table):
        if path is not None and not Path(path).exists():
            raise ConfigError(f"no such file or folder: {path}", where="labelled")
    return Path(root), Path(table) if table else None


def _stamp(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns
