"""Which rows of dilated attention go from which process to which, where a sequence is split.

Queries are answered where they lie. Of a segment that lies on several processes, each process that
answers there needs the picked keys and values of the others: one token in ``r``. Misaligned
segments in the published way are answered at shifted positions, so some queries travel too.

Shapes: B slides, T tokens, H heads, D head dimension, m picked rows of a segment.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import NamedTuple

from gigakit.nn.attention.dilation import SegmentGroup, Tokens

Branches = tuple[tuple[SegmentGroup, ...], ...]


class Piece(NamedTuple):
    """Rows of one tensor that one process holds and another reads.

    ``tokens`` counts from the owner's first token. The rows stand in the reader's buffer from
    ``first_row`` on; the first and last may be shared with another owner, each having the heads
    whose tokens it holds and zeros for the others.
    """

    owner: int
    tensor: int
    group: SegmentGroup
    tokens: Tokens
    first_row: int
    rows: int


class SplitPlan(NamedTuple):
    """One process's share: its groups of segments, and the rows that it reads and serves.

    ``buffers`` holds the pieces of each buffer that this process reads, ``served`` the pieces that
    each process reads from this one. ``exchanges`` is the same on all processes.
    """

    branches: Branches
    buffers: tuple[tuple[Piece, ...], ...]
    served: tuple[tuple[Piece, ...], ...]
    exchanges: bool


def plan_split(bounds: tuple[int, ...], rank: int, plans: tuple[Branches, ...]) -> SplitPlan:
    """Lay out what one process computes, reads and serves.

    Args:
        bounds: the first token of each process, and T.
        rank: the process.
        plans: of each process the branches on the tokens it answers, in the slide's count.
    """
    buffers: list[tuple[Piece, ...]] = []
    served: list[tuple[Piece, ...]] = []
    exchanges = False
    for reader, branches in enumerate(plans):
        pieces: list[Piece] = []
        for group, tensor, tokens in _shared_sources(branches, bounds[reader], bounds[reader + 1]):
            exchanges = True
            if reader == rank:
                owned = range(len(plans))
                buffers.append(tuple(_pieces(group, tensor, tokens, bounds, owned)))
            else:
                pieces += _pieces(group, tensor, tokens, bounds, range(rank, rank + 1))
        served.append(tuple(pieces))
    own = _localised(plans[rank], bounds[rank], bounds[rank + 1])
    return SplitPlan(own, tuple(buffers), tuple(served), exchanges)


def _shared_sources(
    branches: Branches, first: int, end: int
) -> Iterator[tuple[SegmentGroup, int, Tokens]]:
    """Yield the tensors (queries, keys, values: 0, 1, 2) of groups that lie beyond a process."""
    for groups in branches:
        for group in groups:
            for tensor, (source, _) in enumerate(group.sources):
                if not _is_within(source, first, end):
                    yield group, tensor, source


def _is_within(tokens: Tokens, first: int, end: int) -> bool:
    last = tokens.start + (tokens.count - 1) * tokens.stride + tokens.length
    return tokens.length == 0 or (first <= tokens.start and last <= end)


def _pieces(
    group: SegmentGroup, tensor: int, tokens: Tokens, bounds: tuple[int, ...], owners: range
) -> Iterator[Piece]:
    """Cut a stretch of tokens where it passes from one of these owners to the next."""
    origin = tokens.start - tokens.phase
    for owner in owners:
        start = max(tokens.start, bounds[owner])
        length = min(tokens.start + tokens.length, bounds[owner + 1]) - start
        if length > 0:
            first_row, phase = divmod(start - origin, group.ratio)
            held = Tokens(start - bounds[owner], length, 1, length, phase)
            yield Piece(owner, tensor, group, held, first_row, held.rows(group.ratio))


def _localised(branches: Branches, first: int, end: int) -> Branches:
    """Count tokens from a process's first, and number the buffers of rows beyond it."""
    numbers = itertools.count()

    def local(tokens: Tokens, tensors: int) -> Tokens:
        if _is_within(tokens, first, end):
            return dataclasses.replace(tokens, start=tokens.start - first)
        buffer, *_ = (next(numbers) for _ in range(tensors))
        return dataclasses.replace(tokens, buffer=buffer)

    return tuple(
        tuple(
            dataclasses.replace(
                group,
                queries=local(group.queries, 1),
                # values have a buffer of their own
                keys=local(group.keys, 2),
                target=dataclasses.replace(group.target, start=group.target.start - first),
            )
            for group in groups
        )
        for groups in branches
    )
