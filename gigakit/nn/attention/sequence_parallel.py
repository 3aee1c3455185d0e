"""Sequence parallelism: one slide's tokens, split over the processes of a group.

Inside :func:`sequence_parallel` each process hands a slide encoder its own contiguous part of every
slide, in the order of ranks. Attention exchanges what segments need (``split_plan``); all else is
local but for the few numbers that :class:`TokenSplit` sums.

Every process ends with the same slide embedding, and computes the same loss from it. What a
process's backward returns is the gradient of the *sum* of all processes' losses with respect to its
own copy of a parameter. So the mean of these gradients over the group, which is what
``DistributedDataParallel`` takes, is the gradient that one process would have found; with several
groups, each with its own slides, the mean over all processes is that of the mean loss.

Shapes: B slides, T tokens of this process, D width.

Source: LongNet (Ding et al. 2023) section 3.1, "Distributed algorithm".
Differs: any length, split and segment, while the paper and the published code need segments that
    processes divide; keys and values go only where their segment has queries.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from gigakit.core.errors import ConfigError
from gigakit.nn.attention.shared_rows import SplitStretch
from gigakit.nn.attention.split_plan import Branches, plan_split
from gigakit.nn.attention.stretches import real_lengths, runs

_GROUPS: list[dist.ProcessGroup] = []


@contextlib.contextmanager
def sequence_parallel(group: dist.ProcessGroup | None = None) -> Iterator[None]:
    """Let slide encoders called inside take each process's tokens for its part of every slide.

    All processes of the group make the same calls, forward and backward; the backward may run
    outside.

    Args:
        group: processes that share slides; ``None`` is all of them.

    Raises:
        ConfigError: processes have not joined, or this one is not in the group.
    """
    if not (dist.is_available() and dist.is_initialized()):
        raise ConfigError(
            "no process group is started",
            where="sequence_parallel",
            fix="start the processes with torchrun and call torch.distributed.init_process_group",
        )
    chosen = dist.group.WORLD if group is None else group
    if not isinstance(chosen, dist.ProcessGroup):
        raise ConfigError("this process is not in the group", where="sequence_parallel")
    _GROUPS.append(chosen)
    try:
        yield
    finally:
        _GROUPS.pop()


def own_part(length: int) -> slice:
    """Return which of a slide's tiles are this process's: near-equal parts in the order of ranks.

    Outside of :func:`sequence_parallel` that is all of them.
    """
    if not _GROUPS:
        return slice(0, length)
    rank, size = dist.get_rank(_GROUPS[-1]), dist.get_world_size(_GROUPS[-1])
    return slice(rank * length // size, (rank + 1) * length // size)


@dataclass(frozen=True)
class TokenSplit:
    """How the tokens of a batch of slides lie over the processes of a group.

    Attributes:
        group: the processes.
        rank: this one's place among them.
        lengths: of each slide the number of tokens of each process, cls included, which is the
            first token of the first process.
    """

    group: dist.ProcessGroup
    rank: int
    lengths: tuple[tuple[int, ...], ...]
    _laid_out: dict[Hashable, tuple[SplitStretch, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def processes(self) -> int:
        """The number of processes in the group."""
        return dist.get_world_size(self.group)

    @property
    def cls_tokens(self) -> int:
        """1 where cls is among this process's tokens, else 0."""
        return int(self.rank == 0)

    def cls(self, x: Tensor) -> Tensor:
        """Return each slide's cls ``(B, D)``, on every process, from ``(B, T, D)``."""
        return _Sum.apply(x[:, : self.cls_tokens].sum(dim=1), self.group)  # type: ignore[no-untyped-call,no-any-return]

    def with_cls(self, x: Tensor) -> Tensor:
        """Return this process's tokens with cls before them on every process."""
        return torch.cat([self.cls(x).unsqueeze(1), x[:, self.cls_tokens :]], dim=1)

    def mean_of_tiles(self, x: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Return each slide's mean over tiles ``(B, D)``, on every process, from ``(B, T, D)``.

        Args:
            x: tokens of this process.
            padding_mask: ``(B, tiles)`` bool, True = padding.
        """
        tiles = x[:, self.cls_tokens :]
        if padding_mask is not None:
            tiles = tiles * (~padding_mask).unsqueeze(-1).to(x.dtype)
        total: Tensor = _Sum.apply(tiles.sum(dim=1), self.group)  # type: ignore[no-untyped-call]
        numbers = [max(1, sum(parts) - 1) for parts in self.lengths]
        return total / total.new_tensor(numbers).unsqueeze(-1)

    def agreed(self, values: Tensor) -> Tensor:
        """Return the first process's values on all, for draws that belong to a slide."""
        values = values.clone()
        dist.broadcast(values, group=self.group, group_src=0)
        return values

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over processes, of numbers that need no gradient."""
        return _summed(values, self.group)

    def stretches(self, q: Tensor, plans: Callable[..., Branches]) -> tuple[SplitStretch, ...]:
        """Return the slides that are split alike, with what this process computes and exchanges.

        Args:
            q: queries ``(B, T, H, head dimension)`` of this process.
            plans: returns the branches for a length, a number of heads and a device's type, on the
                tokens from a first to an end; the blocks of a model share one.

        Raises:
            ConfigError: not the tokens of this split.
        """
        longest = max((parts[self.rank] for parts in self.lengths), default=0)
        if len(q) != len(self.lengths) or q.shape[1] < longest:
            raise ConfigError(
                f"{len(q)} slides of {q.shape[1]} tokens, where the split has {len(self.lengths)} "
                f"of up to {longest}",
                where="DilatedAttention",
            )
        key = (plans, q.shape[2], q.device.type)
        if key not in self._laid_out:
            self._laid_out[key] = tuple(self._lay_out(q.shape[2], q.device.type, plans))
        return self._laid_out[key]

    def _lay_out(
        self, heads: int, device_type: str, plans: Callable[..., Branches]
    ) -> Iterator[SplitStretch]:
        for first, end, parts in runs(self.lengths):
            bounds = (0, *accumulate(parts))
            if bounds[-1]:
                of_all = tuple(
                    plans(bounds[-1], heads, device_type, *bounds[rank : rank + 2])
                    for rank in range(len(parts))
                )
                plan = plan_split(bounds, self.rank, of_all)
                yield SplitStretch(
                    first, end, parts[self.rank], plan.branches, plan, self.group, self.rank
                )


def split_tokens(
    tiles: Tensor, padding_mask: Tensor | None, cls_tokens: int = 1
) -> TokenSplit | None:
    """Ask all processes how many tokens of each slide they hold; ``None`` where slides are whole.

    Args:
        tiles: ``(B, tiles, ...)`` of this process.
        padding_mask: ``(B, tiles)`` bool, True = padding, on the right.
        cls_tokens: tokens before a slide's tiles.

    Raises:
        ConfigError: processes with different numbers of slides.
    """
    if not _GROUPS:
        return None
    group = _GROUPS[-1]
    rank = dist.get_rank(group)
    mine = (
        [tiles.shape[1]] * len(tiles)
        if padding_mask is None
        else real_lengths(padding_mask, "sequence_parallel")
    )
    found: list[list[int]] = [[] for _ in range(dist.get_world_size(group))]
    dist.all_gather_object(found, mine, group=group)
    if len({len(lengths) for lengths in found}) > 1:
        raise ConfigError(
            f"batches of {[len(lengths) for lengths in found]} slides on the processes of a group",
            where="sequence_parallel",
            fix="give each process its part of the same slides",
        )
    found[0] = [length + cls_tokens for length in found[0]]
    return TokenSplit(group, rank, tuple(zip(*found, strict=True)))


class _Sum(torch.autograd.Function):
    """The sum of a tensor over the processes of a group, and likewise of its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup) -> Tensor:
        """Sum."""
        ctx.group = group
        return _summed(x, group)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Sum the gradients of what each process made of it."""
        return _summed(grad, ctx.group), None


def _summed(x: Tensor, group: dist.ProcessGroup) -> Tensor:
    total = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total, group=group)
    return total
