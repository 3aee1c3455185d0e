"""What every aggregator takes and returns: bags of tile embeddings, and what becomes of them.

Shapes: B slides, L tiles of the longest slide, D width of an embedding, C classes.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor


class Aggregated(NamedTuple):
    """Slides as an aggregator sees them.

    Attributes:
        embedding: ``(B, D)``; ``(B, C, D)`` where each class has its own.
        attention: ``(B, L)``: by how much each tile counts, 0 at padding, sums to 1; ``None`` where
            an aggregator has no such weights.
        class_attention: ``(B, C, L)``: alike, for each class, where each has its own.
        instances: ``(B, L, H)``: the tiles as they were weighed.
    """

    embedding: Tensor
    attention: Tensor | None = None
    class_attention: Tensor | None = None
    instances: Tensor | None = None


class Aggregator(Protocol):
    """What a slide-level model needs of an aggregator.

    Attributes:
        width: D of its embedding.
    """

    width: int

    def __call__(
        self, features: Tensor, *, grid: Tensor, padding_mask: Tensor | None = None
    ) -> Aggregated:
        """Aggregate bags; the result of a slide depends neither on padding nor on other slides.

        Args:
            features: ``(B, L, D_in)`` tile embeddings.
            grid: ``(B, L, 2)`` positions in tiles, column then row.
            padding_mask: ``(B, L)`` bool, True = padding, on the right; ``None`` for none.
        """
        ...


@runtime_checkable
class HasInstanceLoss(Protocol):
    """An aggregator with a loss of its own on tiles, such as CLAM.

    Attributes:
        instance_weight: by what that loss counts; the slide's counts by the rest to 1.
    """

    instance_weight: float

    def instance_loss(
        self, found: Aggregated, label: Tensor, padding_mask: Tensor | None = None
    ) -> Tensor:
        """Return the loss ``()`` of slides with classes ``label`` ``(B,)``."""
        ...


def attend_to(scores: Tensor, padding_mask: Tensor | None) -> Tensor:
    """Return weights ``(B, K, L)`` over tiles of scores ``(B, K, L)``: softmax, 0 at padding."""
    if padding_mask is not None:
        scores = scores.masked_fill(padding_mask[:, None], float("-inf"))
    return scores.softmax(dim=-1)


def tile_counts(features: Tensor, padding_mask: Tensor | None) -> list[int]:
    """Return the number of tiles of each slide of ``(B, L, D)``."""
    if padding_mask is None:
        return [features.shape[1]] * len(features)
    counts: list[int] = (~padding_mask).sum(dim=1).tolist()
    return counts
