"""Which tokens a branch of dilated attention picks, as plain numbers.

Shapes: B slides, T tokens, H heads, D head dimension, n segments.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

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
    """One softmax attention of some slots: their first ``queries`` rows to their first ``keys``.

    ``padding`` zero vectors beyond those rows take part as keys.
    """

    first_slot: int
    end_slot: int
    queries: int
    keys: int
    padding: int


@dataclass(frozen=True)
class Tokens:
    """``count`` stretches of ``length`` tokens, one every ``stride`` tokens from ``start`` on.

    Each begins ``phase`` tokens into a step of its segment: offsets below that are met in the next.
    Where some lie on other processes, ``buffer`` says in which buffer their rows come together.
    """

    start: int
    stride: int
    count: int
    length: int
    phase: int = 0
    buffer: int | None = None

    def rows(self, ratio: int) -> int:
        """Return the number of steps that a stretch touches."""
        return -(-(self.phase + self.length) // ratio)


@dataclass(frozen=True)
class SegmentGroup:
    """Equal segments of one branch: what is read, what is computed, where the answer goes.

    Queries, keys and values of each segment and head are picked into buffers
    ``(B, n, rows, slots, D)``. Answers go back to where the queries were read, but for misaligned
    segments in the published way.
    """

    ratio: int
    runs: tuple[HeadRun, ...]
    queries: Tokens
    keys: Tokens
    target: Tokens
    query_rows: int
    key_rows: int
    calls: tuple[KernelCall, ...]

    @property
    def slots(self) -> int:
        """The number of heads."""
        return sum(run.offsets * run.members for run in self.runs)

    @property
    def sources(self) -> tuple[tuple[Tokens, int], ...]:
        """Where queries, keys and values are read, each with its number of rows."""
        values = self.keys
        if values.buffer is not None:
            # the buffer after that of their keys
            values = dataclasses.replace(values, buffer=values.buffer + 1)
        queries, keys = (self.queries, self.query_rows), (self.keys, self.key_rows)
        return queries, keys, (values, self.key_rows)

    def pairs(self) -> int:
        """Return the query-key pairs computed, summed over heads."""
        return self.target.count * sum(
            (call.end_slot - call.first_slot) * call.queries * call.keys for call in self.calls
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
    first: int = 0,
    end: int | None = None,
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
        first: only what is answered at the tokens from here on
        end: to here, without it; ``None`` is T.
    """
    segment = min(segment_length, length)
    padded_rows = -(-segment // ratio)
    shifted = is_misaligned(length, segment_length, ratio) and misaligned_segments == "compat"
    together = 1 if shifted else max(1, at_once // (padded_rows * heads))
    step = padded_rows * ratio if shifted else segment
    # a query of zeros is answered too in the published way, and its answer may land on a token
    answered = step if shifted and tail_padding == "zeros" else None
    spans = list(
        _spans(length, segment, step, answered, first, length if end is None else end, together)
    )
    groups = []
    for runs in _parts(_head_runs(heads, ratio, head_offsets), heads, padded_rows, at_once):
        for span in spans:
            phase, tokens = span.begin % ratio, span.stop - span.begin
            source, target = (span.at * x + span.begin for x in (segment, step))
            real = max(0, min(span.stop, span.size) - span.begin)
            keys = Tokens(span.at * segment, segment, span.together, span.size)
            group = SegmentGroup(
                ratio=ratio,
                runs=runs,
                queries=Tokens(source, segment, span.together, real, phase),
                keys=keys,
                target=(answers := Tokens(target, segment, span.together, tokens, phase)),
                query_rows=answers.rows(ratio),
                key_rows=keys.rows(ratio),
                calls=_calls(runs, span, ratio, padded_rows, tail_padding),
            )
            groups.append(group)
    return tuple(groups)


class _Span(NamedTuple):
    """So many segments of ``size`` tokens, answered at their positions begin to stop."""

    at: int
    together: int
    size: int
    begin: int
    stop: int


def _spans(
    length: int,
    segment: int,
    step: int,
    answered: int | None,
    first: int,
    end: int,
    together: int,
) -> Iterator[_Span]:
    """Yield the segments that are answered at the tokens first to end, whole ones together."""
    index = first // step
    while index * step < end and index * segment < length:
        count, size = 1, min(segment, length - index * segment)
        begin = max(0, first - index * step)
        stop = min(answered or size, end - index * step)
        if begin == 0 and stop == segment == step:
            count = min(together, end // step - index)
        if begin < stop:
            yield _Span(index, count, size, begin, stop)
        index += count


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
    span: _Span,
    ratio: int,
    padded_rows: int,
    tail_padding: TailPadding,
) -> tuple[KernelCall, ...]:
    slots = sum(run.offsets * run.members for run in runs)
    skipped = span.begin // ratio
    queries, keys = -(-span.stop // ratio) - skipped, -(-span.size // ratio)
    if tail_padding == "zeros":
        return (KernelCall(0, slots, queries, keys, padded_rows - keys),)
    whole, rest = divmod(span.size, ratio)
    reached = sum(max(0, min(run.offsets, rest - run.first_offset)) * run.members for run in runs)
    calls = (
        KernelCall(0, reached, min(queries, whole + 1 - skipped), whole + 1, 0),
        KernelCall(reached, slots, min(queries, whole - skipped), whole, 0),
    )
    return tuple(
        call for call in calls if call.queries > 0 and call.keys and call.end_slot > call.first_slot
    )
