"""Drawing tiles for pretraining: what a draw decides, and what stands in for a tile that fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from gigakit.core.errors import ConfigError, StoreError
from gigakit.core.seeding import fold_in, random_generator

LOGGER = logging.getLogger(__name__)

# words that keep the uses of one draw's seed apart; those of SlideFeatures where they mean the same
_VIEWS, _STEP, _PLACE = 0, 2, 4
MOST_TRIES = 1000


class ViewGenerator(Protocol):
    """Makes the views of one tile."""

    def __call__(self, tile: np.ndarray, generator: np.random.Generator) -> dict[str, Tensor]:
        """Return ``global_crops`` (V, 3, S, S) and ``local_crops`` (L, 3, s, s), uint8."""
        ...


class UnreadableTiles:
    """Tiles that cannot be read: each is told once, and too many are an error.

    Args:
        total: tiles of the dataset.
        most_share: share of them that may be unreadable, as each worker process meets them.
        where: the dataset's root.

    Raises:
        ConfigError: a share outside [0, 1].
    """

    def __init__(self, total: int, most_share: float, where: object) -> None:
        if not 0.0 <= most_share <= 1.0:
            raise ConfigError(f"got {most_share}", where="max_unreadable_share", fix="give 0 to 1")
        self.total, self.most_share, self.where = total, most_share, where
        self.reasons: dict[str, str] = {}
        self.count = 0

    def add(self, name: str, reason: str, tiles: int = 1) -> None:
        """Note what cannot be read.

        Args:
            name: a tile, or a slide.
            reason: why.
            tiles: how many it stands for.

        Raises:
            StoreError: now they are too many.
        """
        if name in self.reasons:
            return
        self.reasons[name] = reason
        self.count += tiles
        LOGGER.warning("%s: %s: %s; other tiles take its place", self.where, name, reason)
        if self.count > self.most_share * self.total:
            raise StoreError(
                f"{self.count} of {self.total} tiles cannot be read, the last '{name}': {reason}",
                where=self.where,
                fix=f"mend or remove them, or raise max_unreadable_share, now {self.most_share:g}",
            )


def draw_pixels(
    first: int,
    pick: Callable[[np.random.Generator], int],
    read: Callable[[int, np.random.Generator], np.ndarray | None],
    generator: np.random.Generator,
    where: object,
) -> tuple[int, np.ndarray]:
    """Return the first tile drawn that can be used, and its pixels.

    Args:
        first: the tile that the sampler asks for.
        pick: draws another one.
        read: returns a tile's pixels, or ``None`` if it cannot be used.
        generator: of this draw.
        where: the dataset's root, for errors.

    Raises:
        StoreError: none of :data:`MOST_TRIES` can be used.
    """
    tile = first
    for _ in range(MOST_TRIES):
        pixels = read(tile, generator)
        if pixels is not None:
            return tile, pixels
        tile = pick(generator)
    raise StoreError(
        f"none of {MOST_TRIES} tiles drawn can be used",
        where=where,
        fix="loosen tissue_filter, or leave slides with little tissue out",
    )


def place_generator(seed: int, draw: int) -> np.random.Generator:
    """Return the generator that decides which tile a draw takes, and where it lies."""
    return random_generator(seed, _PLACE, draw)


def make_views(
    views: ViewGenerator, pixels: np.ndarray, seed: int, draw: int, image_id: str
) -> dict[str, Any]:
    """Return the item of a draw: ``global_crops``, ``local_crops``, ``seed`` and ``image_id``."""
    crops = views(pixels, random_generator(seed, _VIEWS, draw))
    return {**crops, "seed": fold_in(seed, _STEP, draw), "image_id": image_id}
