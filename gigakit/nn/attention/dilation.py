"""Which tokens a branch of dilated attention picks, as plain numbers and as strided views.

Shapes: B slides, T tokens, H heads, D head dimension, n segments, m picked rows of a segment.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

HeadOffsets = Literal["block", "modulo", "none"]
TailPadding = Literal["zeros", "masked"]
MisalignedSegments = Literal["compat", "fixed"]


@dataclass(frozen=True)
class HeadRun:
    """Heads whose offsets follow each other by one, in equal numbers.

    Head ``first_head + i * offset_step + j * member_step`` has the offset ``first_offset + i``;
    in a buffer of picked rows it stands at ``first_slot + i * members + j``, so that slots are
    sorted by offset.
    """

    first_offset: int
    offsets: int
    members: int
    first_head: int
    offset_step: int
    member_step: int
    first_slot: int


@dataclass(frozen=True)
class KernelCall:
    """One softmax attention over the first ``rows`` rows of some slots of a buffer.

    ``padding`` zero vectors beyond those rows take part as keys.
    """

    first_slot: int
    end_slot: int
    rows: int
    padding: int


@dataclass(frozen=True)
class Tokens:
    """``count`` stretches of ``length`` tokens, one every ``stride`` tokens from ``start`` on."""

    start: int
    stride: int
    count: int
    length: int


@dataclass(frozen=True)
class SegmentGroup:
    """Equal segments of one branch: what is read, what is computed, where the answer goes.

    ``rows`` tokens of each segment and head are picked into a buffer ``(B, n, rows, slots, D)``.
    Answers go back to where the tokens were read, but for misaligned segments in the published way.
    """

    ratio: int
    runs: tuple[HeadRun, ...]
    source: Tokens
    target: Tokens
    rows: int
    calls: tuple[KernelCall, ...]

    @property
    def slots(self) -> int:
        """The number of heads."""
        return sum(run.offsets * run.members for run in self.runs)

    def pairs(self) -> int:
        """Return the query-key pairs computed, summed over heads."""
        heads = (call.end_slot - call.first_slot for call in self.calls)
        return self.source.count * sum(
            n * call.rows**2 for n, call in zip(heads, self.calls, strict=True)
        )


def is_misaligned(length: int, segment_length: int, ratio: int) -> bool:
    """Tell whether several segments are filled up to a multiple of the ratio each.

    The published code then writes answers back at multiples of the padded length, so queries are
    answered at shifted positions.
    """
    return segment_length < length and segment_length % ratio != 0


@functools.lru_cache(maxsize=4096)
def plan_branch(
    length: int,
    heads: int,
    segment_length: int,
    ratio: int,
    head_offsets: HeadOffsets,
    tail_padding: TailPadding,
    misaligned_segments: MisalignedSegments,
    at_once: int,
) -> tuple[SegmentGroup, ...]:
    """Lay out one branch on ``length`` tokens; only real tokens are computed.

    Segments hold ``s = min(w, T)`` tokens, the last one what is left of them. The published code
    fills each up with zero keys to ``ceil(s / r)`` rows. At most one such row is computed, where
    offsets differ in their number of tokens; the others are numbers in :class:`KernelCall`.

    Args:
        length: T.
        heads: H.
        segment_length: w, in tokens.
        ratio: r.
        head_offsets: see :class:`~gigakit.nn.attention.dilated.DilatedAttention`.
        tail_padding: the same.
        misaligned_segments: the same.
        at_once: rows times heads of one kernel call, where segments and offsets can be divided;
            enough keeps a device busy, few need little memory.
    """
    segment = min(segment_length, length)
    padded_rows = -(-segment // ratio)
    whole, tail = divmod(length, segment)
    shifted = is_misaligned(length, segment_length, ratio) and misaligned_segments == "compat"
    together = 1 if shifted else max(1, at_once // (padded_rows * heads))
    sources = [
        Tokens(i * segment, segment, min(together, whole - i), segment)
        for i in range(0, whole, together)
    ]
    if tail:
        sources.append(Tokens(whole * segment, segment, 1, tail))
    # a query of zeros is answered too in the published way, and its answer may land on a token
    all_rows = shifted and tail_padding == "zeros"
    groups = []
    for runs in _parts(_head_runs(heads, ratio, head_offsets), heads, padded_rows, at_once):
        for source in sources:
            target = source
            if shifted:
                start = source.start // segment * padded_rows * ratio
                answered = padded_rows * ratio if all_rows else source.length
                target = Tokens(start, segment, 1, min(answered, length - start))
            if target.length <= 0:
                continue
            rows = padded_rows if all_rows else -(-source.length // ratio)
            calls = _calls(runs, source.length, ratio, rows, padded_rows, tail_padding)
            groups.append(SegmentGroup(ratio, runs, source, target, rows, calls))
    return tuple(groups)


def token_views(x: Tensor, tokens: Tokens, group: SegmentGroup) -> Iterator[Tensor]:
    """Yield views of ``(B, T, H, D)``, of any strides, that hold the picked tokens.

    Each is ``(B, n, rows, offsets, members, D)`` and pairs with one of :func:`row_views`.
    """
    b, t, h, d = x.stride()
    for run, offsets, row, rows in _cells(tokens, group):
        token = tokens.start + row * group.ratio + run.first_offset
        # heads of consecutive offsets lie on the diagonal of tokens and heads
        yield x.as_strided(
            (len(x), tokens.count, rows, offsets, run.members, x.shape[-1]),
            (
                *(b, tokens.stride * t, group.ratio * t),
                *(t + run.offset_step * h, run.member_step * h, d),
            ),
            x.storage_offset() + token * t + run.first_head * h,
        )


def row_views(picked: Tensor, tokens: Tokens, group: SegmentGroup) -> Iterator[Tensor]:
    """Yield the views of a buffer ``(B, n, m, H, D)`` that pair with :func:`token_views`."""
    for run, offsets, row, rows in _cells(tokens, group):
        slots = slice(run.first_slot, run.first_slot + offsets * run.members)
        part = picked[:, :, row : row + rows, slots]
        yield part.reshape(*part.shape[:3], offsets, run.members, part.shape[-1])


def _cells(tokens: Tokens, group: SegmentGroup) -> Iterator[tuple[HeadRun, int, int, int]]:
    """Yield runs of heads with the number of offsets, the first row and the number of rows."""
    whole, rest = divmod(tokens.length, group.ratio)
    for run in group.runs:
        if whole:
            yield run, run.offsets, 0, whole
        # one more row for the offsets that the last, incomplete step still reaches
        more = min(run.offsets, rest - run.first_offset)
        if more > 0:
            yield run, more, whole, 1


def _head_runs(heads: int, ratio: int, head_offsets: HeadOffsets) -> tuple[HeadRun, ...]:
    if head_offsets == "none" or ratio == 1:
        return (HeadRun(0, 1, heads, 0, 0, 1, 0),)
    if head_offsets == "block":
        size = -(-heads // ratio)
        whole, left = divmod(heads, size)
        runs = [HeadRun(0, whole, size, 0, size, 1, 0)]
        if left:
            runs.append(HeadRun(whole, 1, left, whole * size, size, 1, whole * size))
        return tuple(runs)
    rounds, left = divmod(heads, ratio)
    runs = []
    if left:
        runs.append(HeadRun(0, left, rounds + 1, 0, 1, ratio, 0))
    if rounds:
        runs.append(HeadRun(left, ratio - left, rounds, left, 1, ratio, left * (rounds + 1)))
    return tuple(runs)


def _parts(
    runs: tuple[HeadRun, ...], heads: int, rows: int, at_once: int
) -> list[tuple[HeadRun, ...]]:
    """Divide heads by their offsets where all of them would be more than fits at once."""
    if rows * heads <= at_once:
        return [runs]
    parts: list[tuple[HeadRun, ...]] = []
    for run in runs:
        offsets = max(1, at_once // (rows * run.members))
        for i in range(0, run.offsets, offsets):
            part = dataclasses.replace(
                run,
                first_offset=run.first_offset + i,
                offsets=min(offsets, run.offsets - i),
                first_head=run.first_head + i * run.offset_step,
                first_slot=0,
            )
            parts.append((part,))
    return parts


def _calls(
    runs: tuple[HeadRun, ...],
    length: int,
    ratio: int,
    rows: int,
    padded_rows: int,
    tail_padding: TailPadding,
) -> tuple[KernelCall, ...]:
    slots = sum(run.offsets * run.members for run in runs)
    if tail_padding == "zeros":
        return (KernelCall(0, slots, rows, padded_rows - rows),)
    whole, rest = divmod(length, ratio)
    reached = sum(max(0, min(run.offsets, rest - run.first_offset)) * run.members for run in runs)
    calls = (KernelCall(0, reached, whole + 1, 0), KernelCall(reached, slots, whole, 0))
    return tuple(call for call in calls if call.rows and call.end_slot > call.first_slot)
