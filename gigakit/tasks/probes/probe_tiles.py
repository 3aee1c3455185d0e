"""Probing encoders on labelled tiles, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from gigakit.tasks.inference import Announce
from gigakit.tasks.patch_maps import patch_picture
from gigakit.tasks.probes.embedding import EmbeddedTiles, embed_collection
from gigakit.tasks.probes.frozen_encoder import FrozenEncoder, TileEncoder
from gigakit.tasks.probes.linear import require_scikit_learn
from gigakit.tasks.probes.pictures import some_tiles
from gigakit.tasks.probes.probe import ProbeResult, probe_features
from gigakit.tasks.probes.tile_collection import TileCollection

_LISTED = 5
_MAPPED_TILES = 8


@dataclass(frozen=True)
class Probed:
    """What a probe found.

    Args:
        tiles: those that could be read.
        results: of each encoder, in order.
        maps: pictures of patch tokens, by encoder.
    """

    tiles: TileCollection
    results: list[ProbeResult] = field(default_factory=list)
    maps: dict[str, np.ndarray] = field(default_factory=dict)


def probe_encoders(
    encoders: Sequence[Callable[[], TileEncoder]],
    tiles: TileCollection,
    *,
    batch_size: int,
    max_bad_share: float,
    seed: int,
    announce: Announce,
    pictures: bool,
) -> Probed:
    """Embed labelled tiles with each encoder and probe the embeddings.

    Args:
        encoders: return the encoders, of which one at a time is in memory.
        tiles: what they are probed on.
        batch_size: tiles a forward pass.
        max_bad_share: share of the tiles that may be damaged; these are left out for all encoders.
        seed: of the bootstrap.
        announce: receives lines on how far it is.
        pictures: draw maps of patch tokens too.

    Raises:
        ConfigError: scikit-learn is not installed, or tiles do not suit an encoder.
        StoreError: too many tiles are damaged, or one that was read before.
        CheckpointError: weights do not fit.
    """
    require_scikit_learn()
    results: list[ProbeResult] = []
    maps: dict[str, np.ndarray] = {}
    for build in encoders:
        encoder = build()
        embedded = embed_collection(
            encoder,
            tiles,
            batch_size=batch_size,
            # what the first could read, all must
            max_bad_share=0.0 if results else max_bad_share,
            announce=announce,
        )
        if embedded.bad:
            tiles = tiles.only(embedded.good, _complaint(embedded))
        rate = len(tiles) / embedded.seconds
        announce(f"{encoder.name}: {len(tiles)} tiles embedded, {rate:.3g} tiles/s")
        data = tiles.labelled(embedded.features)
        if pictures and isinstance(encoder, FrozenEncoder) and encoder.shows_patches:
            maps[encoder.name] = _map(encoder, tiles, some_tiles(data, "test", _MAPPED_TILES))
        first = results[0] if results else None
        facts = {"tiles_per_second": rate}
        results.append(probe_features(encoder.name, data, first=first, seed=seed, facts=facts))
    return Probed(tiles, results, maps)


def _map(encoder: FrozenEncoder, tiles: TileCollection, chosen: np.ndarray) -> np.ndarray:
    pixels = [tiles.pixels(int(index)) for index in chosen]
    seen = np.stack([encoder.seen(tile) for tile in pixels])
    return patch_picture(seen, encoder.patches(pixels))


def _complaint(embedded: EmbeddedTiles) -> str:
    listed = "; ".join(embedded.bad[:_LISTED])
    more = f"; and {len(embedded.bad) - _LISTED} more" if len(embedded.bad) > _LISTED else ""
    told = (
        "1 tile cannot be read and is"
        if len(embedded.bad) == 1
        else (f"{len(embedded.bad)} tiles cannot be read and are")
    )
    return f"{told} left out: {listed}{more}"
