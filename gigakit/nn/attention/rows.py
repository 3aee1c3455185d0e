"""Rows that dilated attention picks: from tokens to buffers and back, as strided views.

Shapes: B slides, T tokens, H heads, D head dimension, n segments, m picked rows of a segment.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from gigakit.nn.attention.dilation import HeadRun, SegmentGroup, Tokens


def pick(
    x: Tensor, group: SegmentGroup, tokens: Tokens, rows: int, weights: Tensor | None = None
) -> Tensor:
    """Pick a group's rows of ``(B, T, H, D)`` into ``(B n, m, slots, D)``, zero where none is.

    Args:
        x: what is picked.
        group: which heads, in which steps.
        tokens: which of them.
        rows: m.
        weights: ``(B, T, H)``, multiplied with the rows.
    """
    if group.ratio == 1 and group.slots == x.shape[2] and weights is None:
        end = tokens.start + tokens.count * tokens.length
        return x[:, tokens.start : end].reshape(-1, tokens.length, *x.shape[2:])
    picked = x.new_zeros(len(x), tokens.count, rows, group.slots, x.shape[-1])
    dense, buffers = token_views(x, tokens, group), row_views(picked, tokens, group)
    if weights is None:
        for token, row in zip(dense, buffers, strict=True):
            row.copy_(token)
    else:
        scales = token_views(weights.unsqueeze(-1), tokens, group)
        for token, row, scale in zip(dense, buffers, scales, strict=True):
            torch.mul(token, scale.to(token.dtype), out=row)
    return picked.flatten(0, 1)


def spread(x: Tensor, picked: Tensor, group: SegmentGroup, tokens: Tokens) -> None:
    """Write picked rows ``(B n, m, slots, D)`` to their tokens of ``(B, T, H, D)``."""
    rows = row_views(_by_slide(picked, len(x)), tokens, group)
    for token, row in zip(token_views(x, tokens, group), rows, strict=True):
        token.copy_(row)


def add(
    x: Tensor, picked: Tensor, group: SegmentGroup, tokens: Tokens, weights: Tensor | None = None
) -> None:
    """Add picked rows ``(B n, m, slots, D)``, times weights ``(B, T, H)``, to their tokens."""
    rows = row_views(_by_slide(picked, len(x)), tokens, group)
    dense = token_views(x, tokens, group)
    if weights is None:
        for token, row in zip(dense, rows, strict=True):
            token.add_(row)
    else:
        scales = token_views(weights.unsqueeze(-1), tokens, group)
        for token, row, scale in zip(dense, rows, scales, strict=True):
            token.addcmul_(row.to(token.dtype), scale)


def token_views(x: Tensor, tokens: Tokens, group: SegmentGroup) -> Iterator[Tensor]:
    """Yield views of ``(B, T, H, D)``, of any strides, that hold the picked tokens.

    Each is ``(B, n, rows, offsets, members, D)`` and pairs with one of :func:`row_views`.
    """
    b, t, h, d = x.stride()
    for run, skipped, offsets, row, rows in _cells(tokens, group):
        token = tokens.start - tokens.phase + row * group.ratio + run.first_offset + skipped
        head = run.first_head + skipped * run.offset_step
        # heads of consecutive offsets lie on the diagonal of tokens and heads
        yield x.as_strided(
            (len(x), tokens.count, rows, offsets, run.members, x.shape[-1]),
            (
                *(b, tokens.stride * t, group.ratio * t),
                *(t + run.offset_step * h, run.member_step * h, d),
            ),
            x.storage_offset() + token * t + head * h,
        )


def row_views(picked: Tensor, tokens: Tokens, group: SegmentGroup) -> Iterator[Tensor]:
    """Yield the views of a buffer ``(B, n, m, H, D)`` that pair with :func:`token_views`."""
    for run, skipped, offsets, row, rows in _cells(tokens, group):
        slot = run.first_slot + skipped * run.members
        part = picked[:, :, row : row + rows, slot : slot + offsets * run.members]
        yield part.reshape(*part.shape[:3], offsets, run.members, part.shape[-1])


def _cells(tokens: Tokens, group: SegmentGroup) -> Iterator[tuple[HeadRun, int, int, int, int]]:
    """Yield runs of heads, how many offsets to skip and to take, the first row and their number."""
    for run in group.runs:
        for row, rows, lowest, highest in _bands(tokens, group.ratio):
            skipped = max(0, lowest - run.first_offset)
            offsets = min(run.offsets, highest - run.first_offset) - skipped
            if offsets > 0:
                yield run, skipped, offsets, row, rows


def _bands(tokens: Tokens, ratio: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the first row, the number of rows, and the offsets met in them: from one to another."""
    begin, end = tokens.phase, tokens.phase + tokens.length
    entered, (whole, rest) = int(begin > 0), divmod(end, ratio)
    if entered:
        yield 0, 1, begin, min(ratio, end)
    if whole > entered:
        yield entered, whole - entered, 0, ratio
    # the offsets that the last, incomplete step still reaches
    if rest and whole >= entered:
        yield whole, 1, 0, rest


def _by_slide(picked: Tensor, slides: int) -> Tensor:
    return picked.reshape(slides, -1, *picked.shape[1:])
