"""Embeddings of labelled tiles, damaged ones left out."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from gigakit.core.errors import DamagedRegionError, StoreError
from gigakit.data.prefetch import prefetched
from gigakit.tasks.inference import Announce, Progress
from gigakit.tasks.probes.frozen_encoder import TileEncoder
from gigakit.tasks.probes.tile_collection import TileCollection

_THREADS = 4


@dataclass(frozen=True)
class EmbeddedTiles:
    """The embeddings of a collection.

    Args:
        features: ``(M, D)`` float32 of the tiles that could be read.
        good: ``(N,)`` bool, which those are.
        bad: why the others could not.
        seconds: that it took.
    """

    features: np.ndarray
    good: np.ndarray
    bad: list[str]
    seconds: float


def embed_collection(
    encoder: TileEncoder,
    tiles: TileCollection,
    *,
    batch_size: int,
    max_bad_share: float,
    announce: Announce,
) -> EmbeddedTiles:
    """Embed all tiles of a collection, in order.

    Args:
        encoder: what embeds them.
        tiles: which.
        batch_size: tiles a forward pass.
        max_bad_share: share of the tiles that may be damaged or missing.
        announce: receives lines on how far it is.

    Raises:
        StoreError: more tiles are damaged.
    """
    begin = time.perf_counter()
    features: list[np.ndarray] = []
    good = np.ones(len(tiles), dtype=bool)
    bad: list[str] = []
    progress = Progress(announce, encoder.name, len(tiles))
    done = 0
    for batch in prefetched(_batches(tiles, batch_size)):
        pixels = [tile for tile in batch if isinstance(tile, np.ndarray)]
        good[done : done + len(batch)] = [isinstance(tile, np.ndarray) for tile in batch]
        bad += [str(tile) for tile in batch if not isinstance(tile, np.ndarray)]
        if len(bad) > max_bad_share * len(tiles):
            raise StoreError(
                f"{len(bad)} of its first {done + len(batch)} tiles cannot be read, more than "
                f"{max_bad_share:.1%} of all {len(tiles)}; the first: {bad[0]}",
                where=tiles.files.root,
                fix="mend them, or raise --max-bad-share",
            )
        if pixels:
            features.append(encoder.embed(pixels))
        done += len(batch)
        progress.advance(len(batch))
    return EmbeddedTiles(np.concatenate(features), good, bad, time.perf_counter() - begin)


def _batches(
    tiles: TileCollection, batch_size: int
) -> Generator[list[np.ndarray | DamagedRegionError]]:
    def read(index: int) -> np.ndarray | DamagedRegionError:
        try:
            return tiles.pixels(index)
        except DamagedRegionError as error:
            return error

    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        for begin in range(0, len(tiles), batch_size):
            yield list(pool.map(read, range(begin, min(begin + batch_size, len(tiles)))))
