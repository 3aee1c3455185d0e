"""Dilated attention: segments of growing length, visited in growing steps.

Shapes: B batch, T tokens, H heads, D head dimension.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from gigakit.core.errors import ConfigError
from gigakit.nn.attention.backends import resolve_backend
from gigakit.nn.attention.dilated_function import (
    DilatedFunction,
    Merge,
    MergeGradient,
    Settings,
    attend_group,
    dense_lses,
)
from gigakit.nn.attention.dilation import (
    HeadOffsets,
    MisalignedSegments,
    SegmentGroup,
    TailPadding,
    is_misaligned,
    plan_branch,
)
from gigakit.nn.attention.kernels import kernel_of
from gigakit.nn.attention.rows import spread
from gigakit.nn.attention.sequence_parallel import TokenSplit
from gigakit.nn.attention.stretches import Stretch, real_lengths, runs
from gigakit.registry import ATTENTIONS

LOGGER = logging.getLogger(__name__)
Choice = TypeVar("Choice", bound=str)

SEGMENT_LENGTHS = (1024, 5792, 32768, 185363, 1048576)
DILATION_RATIOS = (1, 2, 4, 8, 16)
# rows times heads of one kernel call: 10,001 tokens in two thirds of the memory, at equal speed
_AT_ONCE_CPU, _AT_ONCE = 2**12, 2**18
_CHOICES = {
    "head_offsets": ("block", "modulo", "none"),
    "tail_padding": ("zeros", "masked"),
    "merge": ("lse", "mean"),
    "merge_gradient": ("detached", "exact"),
    "misaligned_segments": ("compat", "fixed"),
}


@ATTENTIONS.register_module()
class DilatedAttention(nn.Module):
    """LongNet's dilated attention, by default as the published slide encoder computes it.

    Branch ``(w, r)`` cuts the sequence into segments of ``s = min(w, T)`` tokens. Within a segment
    head ``h`` attends among the positions ``o + r j``, where ``o`` is the head's offset. The
    branches' outputs are merged per head and position with weights ``exp(LSE_b) / sum_b
    exp(LSE_b)``. Only real pairs are computed; the zero vectors with which the published code fills
    segments up enter by their number.

    Args:
        segment_lengths: w of each branch, in tokens.
        dilation_ratios: r of each branch.
        head_offsets: o of head h: ``block`` is ``h // ceil(H / r)`` as published, ``modulo`` is
            ``h mod r`` as in the LongNet paper, ``none`` is 0.
        tail_padding: what fills a segment up to ``ceil(s / r)`` keys: ``zeros``, published, which
            each add ``exp(0)`` to a denominator, or nothing (``masked``).
        merge: weights by ``lse``, published, or the ``mean`` of the branches that cover a position.
        merge_gradient: ``detached`` takes the weights as constants, published; ``exact``
            differentiates them too, which is the gradient of one softmax in which a key counts once
            for each branch that reaches it. The mean has constant weights either way.
        misaligned_segments: several segments that their ratio does not divide: ``compat`` writes
            answers back at multiples of the padded length, published, so that queries are answered
            at shifted positions; ``fixed`` answers each query at its place. A warning is logged
            where they differ: beyond 185,363 tokens with the published segments.
        backend: ``auto``, ``math`` or ``flash``.

    Raises:
        ConfigError: lists of unequal length, empty, or with a value under 1; an unknown choice.

    Source: LongNet (Ding et al. 2023) section 2.2, equations 4 to 9; Prov-GigaPath's published
        slide encoder.
    """

    # branches are merged by it, so a backend without it cannot serve
    needs_lse = True
    # the tokens of a slide may lie on several processes
    takes_split = True

    def __init__(
        self,
        *,
        segment_lengths: Sequence[int] = SEGMENT_LENGTHS,
        dilation_ratios: Sequence[int] = DILATION_RATIOS,
        head_offsets: HeadOffsets = "block",
        tail_padding: TailPadding = "zeros",
        merge: Merge = "lse",
        merge_gradient: MergeGradient = "detached",
        misaligned_segments: MisalignedSegments = "compat",
        backend: str = "auto",
    ) -> None:
        super().__init__()
        if len(segment_lengths) != len(dilation_ratios) or not segment_lengths:
            raise ConfigError(
                f"{len(segment_lengths)} segment_lengths and {len(dilation_ratios)} "
                "dilation_ratios",
                where="DilatedAttention",
                fix="give one ratio for each segment length",
            )
        if min(*segment_lengths, *dilation_ratios) < 1:
            raise ConfigError(
                f"got {list(segment_lengths)} and {list(dilation_ratios)}",
                where="DilatedAttention",
                fix="give segment lengths and ratios of at least 1",
            )
        self.branches = tuple(zip(segment_lengths, dilation_ratios, strict=True))
        self.head_offsets = _one_of("head_offsets", head_offsets)
        self.tail_padding = _one_of("tail_padding", tail_padding)
        self.merge = _one_of("merge", merge)
        self.merge_gradient = _one_of("merge_gradient", merge_gradient)
        self.misaligned_segments = _one_of("misaligned_segments", misaligned_segments)
        self.backend = backend
        self._warned = False

    def forward(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        *,
        key_padding_mask: Tensor | None = None,
        split: TokenSplit | None = None,
    ) -> Tensor:
        """Attend; a padded batch gives what its slides give one by one.

        Args:
            q: queries ``(B, T, H, D)``.
            k: keys ``(B, T, H, D)``.
            v: values ``(B, T, H, D)``.
            key_padding_mask: ``(B, T)`` bool, True = padding, on the right.
            split: how slides lie over processes, of whose tokens these are this one's; what is
                padding follows from it.

        Returns:
            ``(B, T, H, D)``, zero at padding.

        Raises:
            ConfigError: padding that is not on the right.
        """
        laid_out: tuple[Stretch, ...]
        if split is None:
            laid_out = self._stretches(q, key_padding_mask)
        else:
            laid_out = split.stretches(q, self._plans)
        backend = resolve_backend(self.backend, q.device, q.dtype, need_lse=True)
        kernel = kernel_of(backend, q.device.type)
        settings = Settings(laid_out, kernel, self.merge, self.merge_gradient)
        out: Tensor = DilatedFunction.apply(q, k, v, settings)  # type: ignore[no-untyped-call]
        return out

    @torch.no_grad()
    def branch_outputs(self, q: Tensor, k: Tensor, v: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return each branch's output ``(B, T, H, D)`` and LSE ``(B, T, H)`` before the merge.

        The output is zero and the LSE ``-1e8`` where a branch does not cover a position.
        """
        B, T, H, _ = q.shape
        backend = resolve_backend(self.backend, q.device, q.dtype, need_lse=True)
        kernel = kernel_of(backend, q.device.type)
        stretch = Stretch(0, B, T, self._plans(T, H, q.device.type))
        outs = [torch.zeros_like(q) for _ in self.branches]
        results = []
        rows = stretch.rows((q, k, v))
        for index, group in stretch.groups():
            results.append(attend_group(kernel, rows.of(group), group))
            spread(outs[index], results[-1].out, group, group.target)
        return list(zip(outs, dense_lses(results, stretch, q), strict=True))

    def flops(self, length: int, heads: int, head_dim: int) -> int:
        """Return the FLOPs computed by a forward over ``length`` tokens, 2 per multiply-add."""
        if length == 0:
            return 0
        return (
            4
            * head_dim
            * sum(group.pairs() for plan in self._plans(length, heads) for group in plan)
        )

    def acting_branches(self, length: int) -> int:
        """Return how many branches link tokens that no shorter segment links."""
        reached, acting = 0, 0
        for segment_length, _ in self.branches:
            acting += length > reached
            reached = max(reached, segment_length)
        return acting

    def describe(self, length: int) -> str:
        """Say what the variant does on ``length`` tokens."""
        acting = self.acting_branches(length)
        if acting <= 1:
            return (
                f"full attention plus duplicates, since {length} tokens fit dilated attention's "
                f"first segment ({self.branches[0][0]})"
            )
        return (
            f"{acting} of {len(self.branches)} branches of dilated attention act on {length} tokens"
        )

    def _stretches(self, q: Tensor, key_padding_mask: Tensor | None) -> tuple[Stretch, ...]:
        B, T, H, _ = q.shape
        lengths = (
            [T] * B
            if key_padding_mask is None
            else real_lengths(key_padding_mask, "DilatedAttention")
        )
        return tuple(
            Stretch(first, end, length, self._plans(length, H, q.device.type))
            for first, end, length in runs(lengths)
            if length
        )

    def _plans(
        self,
        length: int,
        heads: int,
        device_type: str = "cpu",
        first: int = 0,
        end: int | None = None,
    ) -> tuple[tuple[SegmentGroup, ...], ...]:
        if self.misaligned_segments == "compat" and not self._warned:
            self._warn_if_misaligned(length)
        return tuple(
            plan_branch(
                *(length, heads, segment_length, ratio),
                *(self.head_offsets, self.tail_padding, self.misaligned_segments),
                at_once=_AT_ONCE_CPU if device_type == "cpu" else _AT_ONCE,
                first=first,
                end=end,
            )
            for segment_length, ratio in self.branches
        )

    def _warn_if_misaligned(self, length: int) -> None:
        for segment_length, ratio in self.branches:
            if is_misaligned(length, segment_length, ratio):
                self._warned = True
                LOGGER.warning(
                    "DilatedAttention: on %d tokens the segments of %d, which their ratio %d does "
                    "not divide, are answered at shifted positions, as published; "
                    "misaligned_segments='fixed' answers each query at its place",
                    *(length, segment_length, ratio),
                )


def _one_of(name: str, value: Choice) -> Choice:
    if value not in _CHOICES[name]:
        raise ConfigError(
            f"unknown {name} '{value}'",
            where=f"DilatedAttention.{name}",
            fix="choose from " + ", ".join(_CHOICES[name]),
        )
    return value
