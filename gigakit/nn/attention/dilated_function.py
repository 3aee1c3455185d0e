"""Dilated attention as one differentiable function that holds no dense output per branch.

A branch's picked rows are attended to by one kernel call per group of equal segments. What the
backward needs is kept in picked form, about two outputs in all for the published ratios; picked
queries, keys and values are cheap to pick again.

Shapes: B slides, T tokens, H heads, D head dimension, n segments, m picked rows of a segment.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gigakit.nn.attention.dilation import (
    KernelCall,
    SegmentGroup,
    Tokens,
    row_views,
    token_views,
)
from gigakit.nn.attention.kernels import Attended, Kernel

Merge = Literal["lse", "mean"]
MergeGradient = Literal["detached", "exact"]
# the published marker of a position that a branch does not cover
UNCOVERED_LSE = -1e8


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


@dataclass(frozen=True)
class Settings:
    """What the function does with its tensors."""

    stretches: tuple[Stretch, ...]
    kernel: Kernel
    merge: Merge
    merge_gradient: MergeGradient


class DilatedFunction(torch.autograd.Function):
    """All branches and their merge; positions of no stretch come out as zeros."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, settings: Settings) -> Tensor:
        """Attend ``(B, T, H, D)``."""
        kept: list[Tensor] = []
        merged: Tensor | None = None
        ctx.aux = []
        for stretch in settings.stretches:
            inputs = (stretch.of(q), stretch.of(k), stretch.of(v))
            results = [
                attend_group(settings.kernel, *inputs, group) for _, group in stretch.groups()
            ]
            lses = dense_lses(results, stretch, inputs[0])
            weights = lses.softmax(dim=0) if settings.merge == "lse" else _equal_weights(lses)
            if merged is None:
                merged = torch.zeros(q.shape, dtype=precise(q), device=q.device)
            for (index, group), attended in zip(stretch.groups(), results, strict=True):
                _add(stretch.of(merged), attended.out, group, group.target, weights[index])
            kept += [weights, *(x for attended in results for x in attended[:2])]
            ctx.aux += [attended.aux for attended in results]
        out = torch.zeros_like(q) if merged is None else merged.to(q.dtype)
        ctx.settings = settings
        # joint merge weights differentiate the one softmax whose output is the merged one
        ctx.joint = settings.merge == "lse" and settings.merge_gradient == "exact"
        ctx.save_for_backward(q, k, v, *([out] if ctx.joint else []), *kept)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of queries, keys and values."""
        q, k, v, *kept = ctx.saved_tensors
        out = kept.pop(0) if ctx.joint else None
        saved, aux = iter(kept), iter(ctx.aux)
        inputs = (q, k, v)
        gradients = Accumulators(inputs)
        for stretch in ctx.settings.stretches:
            weights = next(saved)
            for index, group in stretch.groups():
                attended = Attended(next(saved), next(saved), next(aux))
                if out is not None:
                    merged = pick(stretch.of(out), group, group.target)
                    attended = attended._replace(out=merged)
                arriving = pick(stretch.of(grad), group, group.target, weights[index])
                picked = [pick(stretch.of(x), group, group.source) for x in inputs]
                parts = _group_backward(ctx.settings.kernel, arriving, picked, attended, group)
                del arriving, picked, attended
                gradients.add(parts, stretch, group, group.source)
        return *gradients.totals(), None


class Accumulators:
    """Sums over branches of the gradients of some tensors, each made when it is first needed."""

    def __init__(self, inputs: tuple[Tensor, ...]) -> None:
        self.inputs = inputs
        self.sums: list[Tensor | None] = [None] * len(inputs)

    def add(
        self, parts: list[Tensor], stretch: Stretch, group: SegmentGroup, tokens: Tokens
    ) -> None:
        """Add the picked rows of each tensor's gradient; the list is emptied on the way."""
        for index, x in enumerate(self.inputs):
            total = self.sums[index]
            if total is None:
                total = torch.zeros(x.shape, dtype=precise(x), device=x.device)
                self.sums[index] = total
            _add(stretch.of(total), parts.pop(0), group, tokens)

    def totals(self) -> Iterator[Tensor]:
        """Yield the sums in the types of their tensors."""
        for total, x in zip(self.sums, self.inputs, strict=True):
            yield torch.zeros_like(x) if total is None else total.to(x.dtype)


def attend_group(kernel: Kernel, q: Tensor, k: Tensor, v: Tensor, group: SegmentGroup) -> Attended:
    """Attend within the segments of a group.

    Returns:
        Outputs ``(B n, m, slots, D)`` and log-sum-exps ``(B n, m, slots)``, padding included.
    """
    picked = [pick(x, group, group.source) for x in (q, k, v)]
    results = [_attend_call(kernel, picked, call) for call in group.calls]
    aux = tuple(result.aux for result in results)
    if len(results) == 1 and results[0].out.shape == picked[0].shape:
        return results[0]._replace(aux=aux)
    out = torch.zeros_like(picked[0])
    lse = torch.zeros(out.shape[:3], dtype=precise(out), device=out.device)
    for call, result in zip(group.calls, results, strict=True):
        _part(out, call).copy_(result.out)
        _part(lse, call).copy_(result.lse)
    return Attended(out, lse, aux)


def dense_lses(results: list[Attended], stretch: Stretch, q: Tensor) -> Tensor:
    """Return each branch's log-sum-exp ``(branches, B, T, H)``, -1e8 where it covers nothing."""
    shape = (len(stretch.branches), *q.shape[:3])
    lses = torch.full(shape, UNCOVERED_LSE, dtype=precise(q), device=q.device)
    for (index, group), attended in zip(stretch.groups(), results, strict=True):
        # the published code takes a log-sum-exp of exactly 0 for an uncovered position
        lse = attended.lse.masked_fill(attended.lse == 0.0, UNCOVERED_LSE).unsqueeze(-1)
        spread(lses[index].unsqueeze(-1), lse, group, group.target)
    return lses


def pick(x: Tensor, group: SegmentGroup, tokens: Tokens, weights: Tensor | None = None) -> Tensor:
    """Pick a group's rows of ``(B, T, H, D)`` into ``(B n, m, slots, D)``, zero where none is.

    Args:
        x: what is picked.
        group: which heads, in which steps.
        tokens: the group's source or target.
        weights: ``(B, T, H)``, multiplied with the rows.
    """
    if group.ratio == 1 and group.slots == x.shape[2] and weights is None:
        end = tokens.start + tokens.count * tokens.length
        return x[:, tokens.start : end].reshape(-1, tokens.length, *x.shape[2:])
    picked = x.new_zeros(len(x), tokens.count, group.rows, group.slots, x.shape[-1])
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


def precise(x: Tensor) -> torch.dtype:
    """Return the type in which sums over branches are kept: at least float32."""
    return torch.promote_types(x.dtype, torch.float32)


def _add(
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


def _by_slide(picked: Tensor, slides: int) -> Tensor:
    return picked.reshape(slides, -1, *picked.shape[1:])


def _attend_call(kernel: Kernel, picked: list[Tensor], call: KernelCall) -> Attended:
    attended = kernel.forward(*(_part(x, call) for x in picked))
    if not call.padding:
        return attended
    # P keys of zeros add exp(0) each to the denominator and nothing to the numerator
    lse = torch.logaddexp(attended.lse, attended.lse.new_tensor(math.log(call.padding)))
    scale = (attended.lse - lse).exp().unsqueeze(-1).to(attended.out.dtype)
    return attended._replace(out=attended.out * scale, lse=lse)


def _group_backward(
    kernel: Kernel,
    grad: Tensor,
    picked: list[Tensor],
    attended: Attended,
    group: SegmentGroup,
) -> list[Tensor]:
    results = []
    for call, aux in zip(group.calls, attended.aux, strict=True):
        of_call = Attended(_part(attended.out, call), _part(attended.lse, call), aux)
        q, k, v = (_part(x, call) for x in picked)
        results.append(kernel.backward(_part(grad, call), q, k, v, of_call))
    if len(results) == 1 and results[0][0].shape == grad.shape:
        return list(results[0])
    parts = [torch.zeros_like(grad) for _ in picked]
    for call, result in zip(group.calls, results, strict=True):
        for part, gradient in zip(parts, result, strict=True):
            _part(part, call).copy_(gradient)
    return parts


def _part(x: Tensor, call: KernelCall) -> Tensor:
    return x[:, : call.rows, call.first_slot : call.end_slot]


def _equal_weights(lses: Tensor) -> Tensor:
    covered = (lses != UNCOVERED_LSE).to(lses.dtype)
    return covered / covered.sum(dim=0).clamp(min=1)
