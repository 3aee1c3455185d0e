"""One vector a slide: a stored slide embedding of any layers, or pooled tile embeddings."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gigakit.core.errors import ConfigError, StoreError
from gigakit.data.feature_folder import FeatureFolder
from gigakit.wsi.slide_embeddings import MEANINGS
from gigakit.wsi.stores import open_store, read_dataset

POOLS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda tiles: tiles.mean(axis=0, dtype=np.float64),
    "max": lambda tiles: tiles.max(axis=0),
    "min": lambda tiles: tiles.min(axis=0),
    "std": lambda tiles: tiles.std(axis=0, dtype=np.float64),
}
_LAYERS = re.compile(r"(\d+)(?:-(\d+))?")
LAST = "last"


@dataclass(frozen=True)
class SlideVectors:
    """Vectors of slides, in one or several versions to choose from.

    Args:
        versions: ``(N, D)`` float32 each, by name, such as ``layer 5+11``.
        source: what they are, in words.
    """

    versions: dict[str, np.ndarray]
    source: str


def read_slide_vectors(
    folder: Path,
    slides: Sequence[str],
    *,
    pool: str = "mean",
    embedding: str = "cls",
    layers: str = LAST,
) -> SlideVectors:
    """Read a vector of each slide.

    Args:
        folder: tile embeddings, pooled here, or slide embeddings as ``gigakit embed`` writes them.
        slides: their names, in the order of the rows.
        pool: of tile embeddings: mean, max, min or std, or several, joined by ``+``.
        embedding: of slide embeddings: cls, mean, last_cls or last_mean.
        layers: of cls and mean: ``last``, ``all``, a number (0 is the sequence as embedded), some
            concatenated as ``5+11`` or ``5-11``; versions to choose from are parted by commas.

    Raises:
        ConfigError: no such pool, embedding or layer.
        StoreError: a slide has no file, or a damaged one.
    """
    files = FeatureFolder(folder)
    paths = files.select(list(slides))
    if not _holds_slide_embeddings(paths[0]):
        return SlideVectors(
            {f"{pool} of tiles": _pooled(files, paths, pool)}, f"{pool} of tile embeddings"
        )
    if embedding not in MEANINGS:
        raise ConfigError(
            f"there is no slide embedding '{embedding}'",
            where="--embedding",
            fix=f"one of {', '.join(MEANINGS)}",
        )
    stored = [_read(path, embedding) for path in paths]
    if stored[0].ndim == 1:
        return SlideVectors({embedding: _stacked(stored, paths)}, f"slide embedding {embedding}")
    versions = {
        f"layer {text}": _stacked([one[chosen].reshape(-1) for one in stored], paths)
        for text, chosen in _chosen(layers, len(stored[0])).items()
    }
    return SlideVectors(versions, f"slide embedding {embedding}, {', '.join(versions)}")


def _pooled(files: FeatureFolder, paths: Sequence[Path], pool: str) -> np.ndarray:
    names = pool.split("+")
    unknown = [name for name in names if name not in POOLS]
    if unknown:
        raise ConfigError(
            f"there is no pooling '{unknown[0]}'", where="--pool", fix=f"one of {', '.join(POOLS)}"
        )
    rows = []
    for path in paths:
        tiles = files.embeddings(path)
        if not len(tiles):
            raise StoreError("has no tiles", where=path, fix="leave the slide out of the table")
        rows.append(np.concatenate([POOLS[name](tiles) for name in names]).astype(np.float32))
    return _stacked(rows, paths)


def _stacked(rows: Sequence[np.ndarray], paths: Sequence[Path]) -> np.ndarray:
    for row, path in zip(rows, paths, strict=True):
        if row.shape != rows[0].shape:
            raise StoreError(
                f"its vector has {len(row)} numbers, that of {paths[0].name} {len(rows[0])}",
                where=path,
                fix="embed all slides with one encoder",
            )
    return np.stack(rows).astype(np.float32)


def _holds_slide_embeddings(path: Path) -> bool:
    if path.suffix != ".h5":
        return False
    with open_store(path) as file:
        return "features" not in file and any(name in file for name in MEANINGS)


def _read(path: Path, name: str) -> np.ndarray:
    with open_store(path) as file:
        return read_dataset(file, name, path, columns=None if name.startswith(LAST) else -1)


def _chosen(text: str, count: int) -> dict[str, list[int]]:
    """Return the rows of each version of layers."""
    versions = {}
    for version in text.split(","):
        if version == LAST:
            versions[version] = [count - 1]
        elif version == "all":
            versions[version] = list(range(count))
        else:
            versions[version] = [n for part in version.split("+") for n in _range(part, count)]
    return versions


def _range(text: str, count: int) -> list[int]:
    found = _LAYERS.fullmatch(text.strip())
    first = int(found[1]) if found else count
    final = int(found[2] or found[1]) if found else count
    if final >= count or final < first:
        raise ConfigError(
            f"there is no layer '{text}'",
            where="--layers",
            fix=f"numbers from 0 to {count - 1}, such as 5+{count - 1}, or last, or all",
        )
    return list(range(first, final + 1))
