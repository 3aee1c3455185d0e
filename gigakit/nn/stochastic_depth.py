"""Stochastic depth of a vision transformer: by a subset of the batch, or sample by sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gigakit.nn.blocks import DropPath
from gigakit.nn.crop_groups import Groups

DropPathMode = Literal["subset", "sample"]
DropPathShape = Literal["uniform", "linear"]
Branch = Callable[[Tensor, Groups | None], Tensor]


class StochasticDepth(nn.Module):
    """Add a residual branch to some samples of a batch in training, to all of them else.

    ``subset`` computes the branch for the samples it keeps alone, which saves ``rate`` of its cost;
    each group of a packed sequence draws its own. ``sample`` computes it for all and drops samples
    with probability ``rate``.

    Formula: ``x + b / kept · branch(x[kept])`` on the kept samples, ``x`` on the others, with
    ``kept = max(int(b (1 - rate)), 1)`` of b samples.

    Args:
        rate: fraction of samples that go without.
        mode: ``subset`` (DINOv2) or ``sample``.

    Source: Huang et al. 2016; DINOv2 (Oquab et al. 2024), section 5, "efficient stochastic depth".
    Differs: DINOv2 drops sample by sample where the sequence is not packed and the rate is at most
        0.1; here the mode alone decides.
    """

    def __init__(self, rate: float, mode: DropPathMode = "subset") -> None:
        super().__init__()
        self.rate = rate
        self.mode = mode
        self.drop = DropPath(rate)

    def forward(
        self,
        x: Tensor,
        branch: Branch,
        groups: Groups | None = None,
        read: Tensor | None = None,
    ) -> Tensor:
        """Return ``x`` plus the branch.

        Args:
            x: ``(B, T, D)``, or groups packed, ``(1, T, D)``.
            branch: computes the residual of what it is given, packed or not.
            groups: samples and tokens of each group of a packed sequence.
            read: ``(R,)``, the rows of a packed sequence that are wanted, of a branch that treats
                tokens one by one; returned are these, ``(1, R, D)``.
        """
        if groups is not None and read is not None:
            return self._of_rows(x, branch, groups, read)
        if not self.training or self.rate == 0.0:
            return x + branch(x, groups)
        if self.mode == "sample":
            samples = None if groups is None else [t for n, t in groups for _ in range(n)]
            dropped: Tensor = self.drop(branch(x, groups), samples)
            return x + dropped
        return self._add_to_subset(x, branch, groups or ((x.shape[0], x.shape[1]),))

    def _of_rows(self, x: Tensor, branch: Branch, groups: Groups, read: Tensor) -> Tensor:
        rows = x.index_select(1, read)
        residual = branch(rows, None)
        if not self.training or self.rate == 0.0:
            return rows + residual
        # all are computed: leaving few rows out would save less than finding them costs
        each = zip(self._factors(groups, x.device), groups, strict=True)
        factors = torch.cat([factor.repeat_interleave(tokens) for factor, (_, tokens) in each])
        return torch.addcmul(rows, residual.to(rows.dtype), factors.to(rows.dtype)[read, None])

    def _factors(self, groups: Groups, device: torch.device) -> list[Tensor]:
        """Draw the samples' factors of the branch, 0 for those that go without, group by group."""
        counts = [samples for samples, _ in groups]
        if self.mode == "sample":
            keep = torch.rand(sum(counts), device=device) >= self.rate
            return list((keep / (1.0 - self.rate)).split_with_sizes(counts))
        factors = []
        for samples in counts:
            kept = draw_subset(samples, self.rate, device)
            factors.append(torch.zeros(samples, device=device))
            factors[-1][kept] = samples / len(kept)
        return factors

    def _add_to_subset(self, x: Tensor, branch: Branch, groups: Groups) -> Tensor:
        kept = [draw_subset(samples, self.rate, x.device) for samples, _ in groups]
        rows = token_rows(kept, groups)
        smaller = tuple((len(k), tokens) for k, (_, tokens) in zip(kept, groups, strict=True))
        packed = x.view(1, -1, x.shape[-1])
        residual = branch(packed.index_select(1, torch.cat(rows)), smaller)
        factors = [
            samples / count for (samples, _), (count, _) in zip(groups, smaller, strict=True)
        ]
        # a compiler decides by itself what is kept
        add = _with_rows_added if torch.compiler.is_compiling() else _AddToRows.apply
        out: Tensor = add(packed, residual, rows, factors)
        # FSDP2 warns of blocks that return views: a packed sequence is returned as it is
        return out if x.shape[0] == 1 else out.view(x.shape)


def _with_rows_added(x: Tensor, added: Tensor, rows: list[Tensor], factors: list[float]) -> Tensor:
    out = x.clone()
    parts = added.split_with_sizes([len(row) for row in rows], dim=1)
    for row, part, factor in zip(rows, parts, factors, strict=True):
        # autocast leaves the branch in half precision, the sum stays in that of x
        out.index_add_(1, row, part.to(x.dtype), alpha=factor)
    return out


class _AddToRows(torch.autograd.Function):
    """Add scaled rows to some rows of a sequence; torch's index_add would keep what it adds."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, added: Tensor, rows: list[Tensor], factors: list[float]
    ) -> Tensor:
        ctx.rows, ctx.factors, ctx.dtype = rows, factors, added.dtype
        return _with_rows_added(x, added, rows, factors)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor, Tensor, None, None]:
        parts = [
            outer.index_select(1, row).mul_(factor)
            for row, factor in zip(ctx.rows, ctx.factors, strict=True)
        ]
        return outer, torch.cat(parts, dim=1).to(ctx.dtype), None, None


def draw_subset(samples: int, rate: float, device: torch.device) -> Tensor:
    """Return the indices of the samples kept, from torch's global generator of the device."""
    return torch.randperm(samples, device=device)[: max(int(samples * (1 - rate)), 1)]


def token_rows(kept: list[Tensor], groups: Groups) -> list[Tensor]:
    """Return the places of the kept samples' tokens in the packed sequence, group by group."""
    rows, first = [], 0
    for samples, (count, tokens) in zip(kept, groups, strict=True):
        token = torch.arange(first, first + tokens, device=samples.device)
        rows.append((samples[:, None] * tokens + token).flatten())
        first += count * tokens
    return rows


def drop_path_rates(rate: float, depth: int, shape: DropPathShape) -> list[float]:
    """Return each block's rate: the same for all, or rising linearly from 0."""
    if shape == "uniform":
        return [rate] * depth
    return [rate * block / max(depth - 1, 1) for block in range(depth)]
