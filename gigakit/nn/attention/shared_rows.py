"""Rows of segments that lie on several processes: brought together, and their gradients returned.

One exchange for all branches: each process sends each other one exactly the rows that it reads.
The backward repeats it, so nothing of it is kept, and a second one returns gradients to the owners.

Shapes: B slides, T tokens, H heads, D head dimension, m picked rows of a segment.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from gigakit.nn.attention.dilation import SegmentGroup, Tokens
from gigakit.nn.attention.rows import add, pick
from gigakit.nn.attention.split_plan import Piece, SplitPlan
from gigakit.nn.attention.stretches import Accumulators, Rows, Stretch


@dataclass(frozen=True)
class SplitStretch(Stretch):
    """Slides of which each process holds equally long parts; those of this process."""

    plan: SplitPlan
    group: dist.ProcessGroup
    rank: int

    def groups(self) -> Iterator[tuple[int, SegmentGroup]]:
        """Yield the groups, last those that wait for rows of other processes."""
        yield from sorted(super().groups(), key=lambda found: not _is_local(found[1]))

    def rows(self, inputs: tuple[Tensor, ...]) -> Rows:
        """Return the rows of queries, keys and values."""
        return SharedRows(inputs, self) if self.plan.exchanges else super().rows(inputs)


class SharedRows(Rows):
    """Rows of this process, and of others where segments lie on several.

    Args:
        inputs: queries, keys and values ``(B, T, H, D)``, T being this process's tokens.
        stretch: the slides in question.
    """

    def __init__(self, inputs: tuple[Tensor, ...], stretch: SplitStretch) -> None:
        super().__init__(inputs, stretch)
        self.plan, self.rank, self.group = stretch.plan, stretch.rank, stretch.group
        sent = [[self._pick(piece) for piece in pieces] for pieces in self.plan.served]
        owners = range(len(self.plan.served))
        self.arriving = self._exchange(sent, [self._read_from(owner) for owner in owners])
        self.returned: list[list[Tensor]] = [[] for _ in self.plan.served]

    def read(self, x: Tensor, index: int, source: Tokens, group: SegmentGroup, rows: int) -> Tensor:
        """Return the rows of one tensor."""
        if source.buffer is None:
            return super().read(x, index, source, group, rows)
        buffer = x.new_zeros(len(x), rows, group.slots, x.shape[-1])
        for piece in self.plan.buffers[source.buffer]:
            own = piece.owner == self.rank
            part = self._pick(piece) if own else self.arriving.next(piece.owner)
            buffer[:, piece.first_row : piece.first_row + piece.rows] += part
        return buffer

    def write(
        self, part: Tensor, index: int, source: Tokens, group: SegmentGroup, totals: Accumulators
    ) -> None:
        """Add the gradients of one tensor's rows, or lay them by for their owners."""
        if source.buffer is None:
            super().write(part, index, source, group, totals)
            return
        for piece in self.plan.buffers[source.buffer]:
            rows = part[:, piece.first_row : piece.first_row + piece.rows]
            if piece.owner == self.rank:
                self._add(rows, piece, totals)
            else:
                # a view would keep this process's own rows too
                self.returned[piece.owner].append(rows.clone())

    def finish(self, totals: Accumulators) -> None:
        """Return gradients to their owners, and add those that come back."""
        # what was read is done with, and makes room
        del self.arriving
        arriving = self._exchange(self.returned, self.plan.served)
        del self.returned
        for reader, pieces in enumerate(self.plan.served):
            for piece in pieces:
                self._add(arriving.next(reader), piece, totals)

    def _read_from(self, owner: int) -> list[Piece]:
        if owner == self.rank:
            return []
        return [piece for buffer in self.plan.buffers for piece in buffer if piece.owner == owner]

    def _exchange(self, sent: list[list[Tensor]], expected: Sequence[Sequence[Piece]]) -> _Arriving:
        """Send to each process, and expect from each the rows of these pieces."""
        q = self.inputs[0]
        shapes: list[list[tuple[int, ...]]] = [
            [(len(q), piece.rows, piece.group.slots, q.shape[-1]) for piece in pieces]
            for pieces in expected
        ]
        return _Arriving(sent, shapes, q, self.group)

    def _pick(self, piece: Piece) -> Tensor:
        return pick(self.inputs[piece.tensor], piece.group, piece.tokens, piece.rows)

    def _add(self, rows: Tensor, piece: Piece, totals: Accumulators) -> None:
        add(self.stretch.of(totals[piece.tensor]), rows, piece.group, piece.tokens)


class _Arriving:
    """Tensors on their way from every process, handed out in the order of their sending."""

    def __init__(
        self,
        sent: list[list[Tensor]],
        shapes: list[list[tuple[int, ...]]],
        like: Tensor,
        group: dist.ProcessGroup,
    ) -> None:
        flat = [[x.reshape(-1) for x in tensors] for tensors in sent]
        self.sent = torch.cat([like.new_empty(0), *(x for tensors in flat for x in tensors)])
        numbers = [[math.prod(shape) for shape in of_one] for of_one in shapes]
        sizes = [sum(of_one) for of_one in numbers]
        self.received = like.new_empty(sum(sizes))
        given = [sum(len(x) for x in tensors) for tensors in flat]
        self.work = dist.all_to_all_single(
            self.received, self.sent, sizes, given, group=group, async_op=True
        )
        self.waiting = True
        self.parts = [
            zip(torch.split(part, of_one), of_shape, strict=True)
            for part, of_one, of_shape in zip(
                torch.split(self.received, sizes), numbers, shapes, strict=True
            )
        ]

    def next(self, sender: int) -> Tensor:
        """Return the next tensor of a process, once all are there."""
        if self.waiting:
            self.work.wait()
            self.waiting, self.sent = False, self.received[:0]
        part, shape = next(self.parts[sender])
        return part.view(shape)


def _is_local(group: SegmentGroup) -> bool:
    return group.queries.buffer is None and group.keys.buffer is None
