"""Dilated attention as one differentiable function that holds no dense output per branch.

A branch's picked rows are attended to by one kernel call per group of equal segments. What the
backward needs is kept in picked form, about two outputs in all for the published ratios; picked
queries, keys and values are cheap to pick again.

Shapes: B slides, T tokens, H heads, D head dimension, n segments, m picked rows of a segment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gigakit.nn.attention.dilation import KernelCall, SegmentGroup
from gigakit.nn.attention.kernels import Attended, Kernel
from gigakit.nn.attention.rows import add, pick, spread
from gigakit.nn.attention.stretches import Accumulators, Stretch, precise

Merge = Literal["lse", "mean"]
MergeGradient = Literal["detached", "exact"]
# the published marker of a position that a branch does not cover
UNCOVERED_LSE = -1e8


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
            rows = stretch.rows((q, k, v))
            results = [
                attend_group(settings.kernel, rows.of(group), group)
                for _, group in stretch.groups()
            ]
            lses = dense_lses(results, stretch, stretch.of(q))
            weights = lses.softmax(dim=0) if settings.merge == "lse" else _equal_weights(lses)
            if merged is None:
                merged = torch.zeros(q.shape, dtype=precise(q), device=q.device)
            for (index, group), attended in zip(stretch.groups(), results, strict=True):
                add(stretch.of(merged), attended.out, group, group.target, weights[index])
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
            rows = stretch.rows(inputs)
            for index, group in stretch.groups():
                attended = Attended(next(saved), next(saved), next(aux))
                if out is not None:
                    merged = pick(stretch.of(out), group, group.target, group.query_rows)
                    attended = attended._replace(out=merged)
                arriving = pick(
                    stretch.of(grad), group, group.target, group.query_rows, weights[index]
                )
                picked = rows.of(group)
                parts = _group_backward(ctx.settings.kernel, arriving, picked, attended, group)
                del arriving, picked, attended
                rows.add(parts, group, gradients)
            rows.finish(gradients)
        return *gradients.totals(), None


def attend_group(kernel: Kernel, picked: list[Tensor], group: SegmentGroup) -> Attended:
    """Attend within the segments of a group, from its picked queries, keys and values.

    Returns:
        Outputs ``(B n, m, slots, D)`` and log-sum-exps ``(B n, m, slots)``, padding included.
    """
    results = [_attend_call(kernel, picked, call) for call in group.calls]
    aux = tuple(result.aux for result in results)
    if len(results) == 1 and results[0].out.shape == picked[0].shape:
        return results[0]._replace(aux=aux)
    out = torch.zeros_like(picked[0])
    lse = torch.zeros(out.shape[:3], dtype=precise(out), device=out.device)
    for call, result in zip(group.calls, results, strict=True):
        _part(out, call, call.queries).copy_(result.out)
        _part(lse, call, call.queries).copy_(result.lse)
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


def _attend_call(kernel: Kernel, picked: list[Tensor], call: KernelCall) -> Attended:
    attended = kernel.forward(*_parts(picked, call))
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
        out, lse, arriving = (
            _part(x, call, call.queries) for x in (attended.out, attended.lse, grad)
        )
        results.append(kernel.backward(arriving, *_parts(picked, call), Attended(out, lse, aux)))
    if len(results) == 1 and all(
        a.shape == b.shape for a, b in zip(results[0], picked, strict=True)
    ):
        return list(results[0])
    gradients = [torch.zeros_like(x) for x in picked]
    for call, result in zip(group.calls, results, strict=True):
        for part, gradient in zip(_parts(gradients, call), result, strict=True):
            part.copy_(gradient)
    return gradients


def _parts(picked: list[Tensor], call: KernelCall) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = picked
    return _part(q, call, call.queries), _part(k, call, call.keys), _part(v, call, call.keys)


def _part(x: Tensor, call: KernelCall, rows: int) -> Tensor:
    return x[:, :rows, call.first_slot : call.end_slot]


def _equal_weights(lses: Tensor) -> Tensor:
    covered = (lses != UNCOVERED_LSE).to(lses.dtype)
    return covered / covered.sum(dim=0).clamp(min=1)
