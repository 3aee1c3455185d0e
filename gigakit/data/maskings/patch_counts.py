"""How many patches each crop of an image hides: what the maskings of images have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from gigakit.core.errors import ConfigError


@runtime_checkable
class PatchMasking(Protocol):
    """A masking of image patches; with ``per_image`` it is drawn for one image at a time."""

    per_image: bool
    counts: PatchCounts

    def draw(
        self, crops: int, height: int, width: int, generator: np.random.Generator
    ) -> np.ndarray:
        """Return masks ``(crops, height * width)`` bool, True = masked out.

        Args:
            crops: crops that are masked together.
            height: patches from top to bottom.
            width: patches from left to right.
            generator: the only source of randomness.
        """
        ...


class PatchCounts:
    """Draw how many patches each of some crops is to hide; 0 leaves a crop as it is.

    Formula, with C crops of P patches, ``n = int(C probability)`` and edges ``e_0 .. e_n`` evenly
    over ``ratio``: n crops hide ``int(P r_i)`` patches, ``r_i`` uniform in ``[e_i, e_(i+1)]``, or
    ``r_i = e_(i+1)`` for ``upper_edge``; which crops these are is random. With ``per_image`` each
    crop is masked with that probability, whatever the others, and r is uniform over ``ratio``.

    Args:
        probability: share of the crops that are masked.
        ratio: least and largest part of a masked crop that is hidden.
        per_image: draw crop by crop, so that masks do not depend on the batch.
        upper_edge: take each stratum's largest ratio, so that the total never varies.
        where: name of the masking, for errors.

    Raises:
        ConfigError: a probability or ratios out of [0, 1], or ratios out of order.
    """

    def __init__(
        self,
        *,
        probability: float,
        ratio: Sequence[float],
        per_image: bool,
        where: str,
        upper_edge: bool = False,
    ) -> None:
        if not 0 <= probability <= 1:
            raise ConfigError(f"probability is {probability}", where=where, fix="from 0 to 1")
        if len(ratio) != 2 or not 0 <= ratio[0] <= ratio[1] <= 1:  # noqa: PLR2004
            raise ConfigError(
                f"ratio is {list(ratio)}", where=where, fix="two parts, such as [0.1, 0.5]"
            )
        self.probability = probability
        self.low, self.high = ratio
        self.per_image = per_image
        self.upper_edge = upper_edge

    def draw(self, crops: int, patches: int, generator: np.random.Generator) -> np.ndarray:
        """Return ``(crops,)`` int64."""
        if self.per_image:
            masked = generator.random(crops) < self.probability
            ratio = generator.uniform(self.low, self.high, crops)
            return np.where(masked, patches * ratio, 0.0).astype(np.int64)
        counts = np.zeros(crops, dtype=np.int64)
        masked_crops = int(crops * self.probability)
        edges = np.linspace(self.low, self.high, masked_crops + 1)
        ratio = edges[1:] if self.upper_edge else generator.uniform(edges[:-1], edges[1:])
        counts[:masked_crops] = patches * ratio
        return generator.permutation(counts)

    def most(self, crops: int, patches: int) -> int:
        """Return how many patches may be hidden of all crops together, at most.

        Formula: the sum over the n masked crops of ``int(P e_(i+1))``, DINOv2's upper bound; with
        ``per_image`` all crops may be masked, each as much as ``ratio`` allows.
        """
        if self.per_image:
            return crops * int(patches * self.high) if self.probability else 0
        edges = np.linspace(self.low, self.high, int(crops * self.probability) + 1)
        return int((patches * edges[1:]).astype(np.int64).sum())


def complete(mask: np.ndarray, count: int, generator: np.random.Generator) -> None:
    """Hide or show patches of ``mask`` ``(P,)`` at random, in place, until ``count`` are hidden."""
    missing = count - int(mask.sum())
    pool = np.flatnonzero(~mask if missing > 0 else mask)
    mask[generator.choice(pool, abs(missing), replace=False)] = missing > 0
