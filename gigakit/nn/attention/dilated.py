"""Dilated attention: segments of growing length, visited in growing steps.

Shapes: B batch, T tokens, H heads, D head dimension, n segments, m picked positions of a segment.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gigakit.core.errors import ConfigError
from gigakit.nn.attention.backends import attend
from gigakit.registry import ATTENTIONS

SEGMENT_LENGTHS = (1024, 5792, 32768, 185363, 1048576)
DILATION_RATIOS = (1, 2, 4, 8, 16)
# the published marker of a position that a branch does not cover
UNCOVERED_LSE = -1e8


@ATTENTIONS.register_module()
class DilatedAttention(nn.Module):
    """LongNet's dilated attention, as the published slide encoder computes it.

    Branch ``(w, r)`` cuts the sequence into segments of ``s = min(w, T)`` tokens. Within a segment
    head ``h`` attends among the positions ``o + r j``, where ``o = h // ceil(H / r)`` is the
    offset of its block of heads. The branches' outputs are merged per head and position with
    weights ``exp(LSE_b) / sum_b exp(LSE_b)``, which carry no gradient. Segments are filled up with
    zero vectors, which are not masked: each adds ``exp(0)`` to a denominator.

    Args:
        segment_lengths: w of each branch, in tokens.
        dilation_ratios: r of each branch.
        backend: ``auto``, ``math`` or ``flash``.

    Raises:
        ConfigError: lists of unequal length, empty, or with a value under 1.

    Source: LongNet (Ding et al. 2023) section 2.2; Prov-GigaPath's published slide encoder.
    Differs: from the LongNet paper, as published: offsets by blocks of heads instead of
        ``h mod r``; merge weights without gradient; a segment that its ratio does not divide is
        written back at multiples of the padded length.
    """

    # branches are merged by it, so a backend without it cannot serve
    needs_lse = True

    def __init__(
        self,
        *,
        segment_lengths: Sequence[int] = SEGMENT_LENGTHS,
        dilation_ratios: Sequence[int] = DILATION_RATIOS,
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
        self.backend = backend

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, *, key_padding_mask: Tensor | None = None
    ) -> Tensor:
        """Attend; a padded batch gives what its slides give one by one.

        Args:
            q: queries ``(B, T, H, D)``.
            k: keys ``(B, T, H, D)``.
            v: values ``(B, T, H, D)``.
            key_padding_mask: ``(B, T)`` bool, True = padding, on the right.

        Returns:
            ``(B, T, H, D)``, zero at padding.

        Raises:
            ConfigError: padding that is not on the right.
        """
        if key_padding_mask is None or not key_padding_mask.any():
            return self._merge(q, k, v)
        slides = [
            self._merge(*(x[row : row + 1, :length] for x in (q, k, v)))
            for row, length in enumerate(_lengths(key_padding_mask))
        ]
        padded = [functional.pad(x, (0, 0, 0, 0, 0, q.shape[1] - x.shape[1])) for x in slides]
        return torch.cat(padded)

    def branch_outputs(self, q: Tensor, k: Tensor, v: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return each branch's output ``(B, T, H, D)`` and LSE ``(B, T, H)`` before the merge.

        The output is zero and the LSE ``-1e8`` where a branch does not cover a position.
        """
        return [self._branch(q, k, v, *branch) for branch in self.branches]

    def flops(self, length: int, heads: int, head_dim: int) -> int:
        """Return the FLOPs of one forward over ``length`` tokens, padding included."""
        if length == 0:
            return 0
        pairs = 0
        for segment_length, ratio in self.branches:
            segments, _, picked = _segments(length, segment_length, ratio)
            pairs += segments * picked * picked
        return 4 * pairs * heads * head_dim

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

    def _merge(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if q.shape[1] == 0:
            # as empty as its terms, and keeps their gradients
            return q + k + v
        outputs, lses = zip(*self.branch_outputs(q, k, v), strict=True)
        weights = torch.stack(lses).softmax(dim=0)
        merged = torch.zeros_like(q)
        for out, weight in zip(outputs, weights, strict=True):
            merged = merged + out * weight.unsqueeze(-1).to(out.dtype)
        return merged

    def _branch(
        self, q: Tensor, k: Tensor, v: Tensor, segment_length: int, ratio: int
    ) -> tuple[Tensor, Tensor]:
        B, T, H, D = q.shape
        segments, padded, _ = _segments(T, segment_length, ratio)
        q_picked, k_picked, v_picked = (
            _pick(_fill(x, min(segment_length, T), segments, padded), ratio) for x in (q, k, v)
        )
        out, lse = attend(q_picked, k_picked, v_picked, backend=self.backend, need_lse=True)
        # the published code takes an LSE of exactly 0 for an uncovered position
        lse = lse.masked_fill(lse == 0.0, UNCOVERED_LSE).unsqueeze(-1)
        covered = _scatter(torch.ones_like(lse), ratio).bool()
        dense_lse = _scatter(lse, ratio).masked_fill(~covered, UNCOVERED_LSE)
        return (
            _scatter(out, ratio).reshape(B, segments * padded, H, D)[:, :T],
            dense_lse.reshape(B, segments * padded, H)[:, :T],
        )


def _segments(length: int, segment_length: int, ratio: int) -> tuple[int, int, int]:
    """Return the number of segments, their padded length, and the positions picked of each."""
    effective = min(segment_length, length)
    padded = -(-effective // ratio) * ratio
    return -(-length // effective), padded, padded // ratio


def _head_groups(heads: int, ratio: int) -> tuple[int, int]:
    """Return the number of contiguous blocks of ``ceil(H / r)`` heads, and their size."""
    size = -(-heads // ratio)
    return -(-heads // size), size


def _fill(x: Tensor, segment: int, segments: int, padded: int) -> Tensor:
    """Cut ``(B, T, H, D)`` into segments filled up with zeros: ``(B n, padded, H, D)``."""
    B, T, H, D = x.shape
    x = functional.pad(x, (0, 0, 0, 0, 0, segments * segment - T))
    x = x.reshape(B * segments, segment, H, D)
    return functional.pad(x, (0, 0, 0, 0, 0, padded - segment))


def _pick(x: Tensor, ratio: int) -> Tensor:
    """Pick each head's positions: ``(B n, m r, H, D)`` to ``(B n, m, H, D)``.

    Block ``o`` of heads takes offset ``o``: the diagonal of (offset, block).
    """
    if ratio == 1:
        return x
    N, padded, heads, D = x.shape
    blocks, size = _head_groups(heads, ratio)
    x = functional.pad(x, (0, 0, 0, blocks * size - heads))
    x = x.reshape(N, padded // ratio, ratio, blocks, size, D)[:, :, :blocks]
    return x.diagonal(dim1=2, dim2=3).movedim(-1, 2).flatten(2, 3)[:, :, :heads]


def _scatter(x: Tensor, ratio: int) -> Tensor:
    """Put each head's positions back: ``(B n, m, H, D)`` to ``(B n, m r, H, D)``, zero between."""
    if ratio == 1:
        return x
    N, picked, heads, D = x.shape
    blocks, size = _head_groups(heads, ratio)
    x = functional.pad(x, (0, 0, 0, blocks * size - heads)).reshape(N, picked, blocks, size, D)
    x = torch.diag_embed(x.movedim(2, -1), dim1=2, dim2=3).flatten(3, 4)[:, :, :, :heads]
    return functional.pad(x, (0, 0, 0, 0, 0, ratio - blocks)).flatten(1, 2)


def _lengths(key_padding_mask: Tensor) -> list[int]:
    lengths = (~key_padding_mask).sum(dim=1)
    positions = torch.arange(key_padding_mask.shape[1], device=lengths.device)
    if not torch.equal(key_padding_mask, positions[None, :] >= lengths[:, None]):
        raise ConfigError("the padding of a batch must be on the right", where="DilatedAttention")
    values: list[int] = lengths.tolist()
    return values
