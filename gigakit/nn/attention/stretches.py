"""Slides of one length in a batch: what a variant computes together, and what it reads and sums.

Shapes: B slides, T tokens, H heads, D head dimension, n segments, m picked rows of a segment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from gigakit.core.errors import ConfigError
from gigakit.nn.attention.dilation import SegmentGroup, Tokens
from gigakit.nn.attention.rows import add, pick

Length = TypeVar("Length")


@dataclass(frozen=True)
class Stretch:
    """Slides of one length in a batch, and how each branch goes over them."""

    first: int
    end: int
    length: int
    branches: tuple[tuple[SegmentGroup, ...], ...]

    def of(self, x: Tensor) -> Tensor:
        """Return these slides' tokens of ``(B, T, ...)``, as a view."""
        return x[self.first : self.end, : self.length]

    def groups(self) -> Iterator[tuple[int, SegmentGroup]]:
        """Yield every group of segments with the index of its branch."""
        for index, groups in enumerate(self.branches):
            for group in groups:
                yield index, group

    def rows(self, inputs: tuple[Tensor, ...]) -> Rows:
        """Return the rows of queries, keys and values ``(B, T, H, D)``."""
        return Rows(inputs, self)


class Rows:
    """Where the groups of a stretch read their rows, and where the gradients of those go.

    Here all of them are in this process;
    :class:`~gigakit.nn.attention.shared_rows.SharedRows` brings some from others.

    Args:
        inputs: queries, keys and values ``(B, T, H, D)``.
        stretch: the slides in question.
    """

    def __init__(self, inputs: tuple[Tensor, ...], stretch: Stretch) -> None:
        self.stretch = stretch
        self.inputs = [stretch.of(x) for x in inputs]

    def of(self, group: SegmentGroup) -> list[Tensor]:
        """Return the queries, keys and values of a group ``(B n, m, slots, D)``."""
        return [
            self.read(x, index, source, group, rows)
            for index, (x, (source, rows)) in enumerate(
                zip(self.inputs, group.sources, strict=True)
            )
        ]

    def add(self, parts: list[Tensor], group: SegmentGroup, totals: Accumulators) -> None:
        """Add a group's gradients to the sums; the list is emptied on the way."""
        for index, (source, _) in enumerate(group.sources):
            self.write(parts.pop(0), index, source, group, totals)

    def read(
        self, x: Tensor, _index: int, source: Tokens, group: SegmentGroup, rows: int
    ) -> Tensor:
        """Return the rows of one tensor."""
        return pick(x, group, source, rows)

    def write(
        self, part: Tensor, index: int, source: Tokens, group: SegmentGroup, totals: Accumulators
    ) -> None:
        """Add the gradients of one tensor's rows."""
        add(self.stretch.of(totals[index]), part, group, source)

    def finish(self, totals: Accumulators) -> None:
        """Add what is left to add when all groups are done."""


class Accumulators:
    """Sums over branches of the gradients of some tensors, each made when it is first needed."""

    def __init__(self, inputs: tuple[Tensor, ...]) -> None:
        self.inputs = inputs
        self.sums: list[Tensor | None] = [None] * len(inputs)

    def __getitem__(self, index: int) -> Tensor:
        total = self.sums[index]
        if total is None:
            x = self.inputs[index]
            total = self.sums[index] = torch.zeros(x.shape, dtype=precise(x), device=x.device)
        return total

    def totals(self) -> Iterator[Tensor]:
        """Yield the sums in the types of their tensors."""
        for total, x in zip(self.sums, self.inputs, strict=True):
            yield torch.zeros_like(x) if total is None else total.to(x.dtype)


def precise(x: Tensor) -> torch.dtype:
    """Return the type in which sums over branches are kept: at least float32."""
    return torch.promote_types(x.dtype, torch.float32)


def real_lengths(key_padding_mask: Tensor, where: str) -> list[int]:
    """Return how many tokens of each slide are no padding, from ``(B, T)`` with True = padding.

    Raises:
        ConfigError: padding that is not on the right.
    """
    lengths = (~key_padding_mask).sum(dim=1)
    positions = torch.arange(key_padding_mask.shape[1], device=lengths.device)
    if not torch.equal(key_padding_mask, positions[None, :] >= lengths[:, None]):
        raise ConfigError("the padding of a batch must be on the right", where=where)
    found: list[int] = lengths.tolist()
    return found


def runs(lengths: Sequence[Length]) -> Iterator[tuple[int, int, Length]]:
    """Yield runs of equal entries as (first, end, entry)."""
    first = 0
    for end in range(1, len(lengths) + 1):
        if end == len(lengths) or lengths[end] != lengths[first]:
            yield first, end, lengths[first]
            first = end
