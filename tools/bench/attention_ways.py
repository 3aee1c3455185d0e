"""Other ways to compute what dilated attention computes, for its benchmark.

Shapes: B slides, T tokens, H heads, D head dimension, n segments, m picked positions of a segment.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SEGMENT_LENGTHS = (1024, 5792, 32768, 185363, 1048576)
DILATION_RATIOS = (1, 2, 4, 8, 16)
Branches = tuple[tuple[int, int], ...]
PUBLISHED: Branches = tuple(zip(SEGMENT_LENGTHS, DILATION_RATIOS, strict=True))


def published_way(q: Tensor, k: Tensor, v: Tensor, branches: Branches = PUBLISHED) -> Tensor:
    """Gather, pad, attend, scatter to a dense output a branch, merge: the published steps."""
    outs, lses = zip(*(_published_branch(q, k, v, w, r) for w, r in branches), strict=True)
    with torch.no_grad():
        highest = torch.stack(lses).max(dim=0).values
        weights = [(lse - highest).exp() for lse in lses]
        total = torch.stack(weights).sum(dim=0)
        weights = [(weight / total).unsqueeze(-1).to(q.dtype) for weight in weights]
    merged = torch.zeros_like(q)
    for out, weight in zip(outs, weights, strict=True):
        merged = merged + out * weight
    return merged


def _published_branch(q: Tensor, k: Tensor, v: Tensor, w: int, r: int) -> tuple[Tensor, Tensor]:
    B, T, H, D = q.shape
    segment = min(w, T)
    segments, rows = -(-T // segment), -(-segment // r)
    size = -(-H // r)
    picked = [_gather(x, segment, segments, rows, r, size) for x in (q, k, v)]
    out, lse = flash(*picked)
    dense = _scatter(out, r, size)[:, :, :H]
    dense_lse = _scatter(lse.detach().unsqueeze(-1), r, size)[:, :, :H, 0]
    dense_lse = dense_lse.masked_fill(dense_lse == 0, -1e8)
    return (
        dense.reshape(B, segments * rows * r, H, D)[:, :T],
        dense_lse.reshape(B, segments * rows * r, H)[:, :T],
    )


def _gather(x: Tensor, segment: int, segments: int, rows: int, r: int, size: int) -> Tensor:
    B, T, H, D = x.shape
    x = functional.pad(x, (0, 0, 0, 0, 0, segments * segment - T))
    x = x.reshape(B * segments, segment, H, D)
    x = functional.pad(x, (0, 0, 0, r * size - H, 0, rows * r - segment))
    x = x.reshape(B * segments, rows, r, r, size, D)
    return torch.diagonal(x, dim1=2, dim2=3).movedim(-1, 2).flatten(2, 3)


def _scatter(x: Tensor, r: int, size: int) -> Tensor:
    x = x.unflatten(2, (r, size)).movedim(2, -1)
    return torch.diag_embed(x, dim1=2, dim2=3).flatten(3, 4).flatten(1, 2)


def flash(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Attend by torch's flash kernel of the device; also return the log-sum-exp."""
    names = {
        "cpu": torch.ops.aten._scaled_dot_product_flash_attention_for_cpu,
        "cuda": torch.ops.aten._scaled_dot_product_flash_attention,
    }
    out, lse = names[q.device.type](*(x.transpose(1, 2) for x in (q, k, v)))[:2]
    return out.transpose(1, 2), lse.transpose(1, 2)


def dense(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend from every token to every token."""
    out = functional.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)))
    return out.transpose(1, 2)


class Floor:
    """One call of torch's attention per group of equal segments, on exactly the real pairs.

    Tokens are not gathered, results not scattered and not merged: inputs of the right shapes are
    made once. Where offsets of one segment differ by a token, the smaller number is taken.

    Args:
        length: T.
        heads: H.
        dim: D.
        branches: segment lengths and ratios.
        device: of the inputs.
        dtype: of the inputs.
    """

    def __init__(
        self,
        length: int,
        heads: int,
        dim: int,
        *,
        branches: Branches = PUBLISHED,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.inputs: list[list[Tensor]] = []
        self.pairs = 0
        for w, r in branches:
            segment = min(w, length)
            for segments, tokens in ((length // segment, segment), (1, length % segment)):
                rows = tokens // r
                if not rows:
                    continue
                shape = (segments, rows, heads, dim)
                self.inputs.append(
                    [
                        torch.randn(shape, device=device, dtype=dtype).requires_grad_()
                        for _ in range(3)
                    ]
                )
                self.pairs += segments * rows * rows * heads
        self.grads = [torch.randn_like(q) for q, _, _ in self.inputs]

    def forward(self) -> list[Tensor]:
        """Attend in every group."""
        with torch.no_grad():
            return [dense(*inputs) for inputs in self.inputs]

    def forward_backward(self) -> None:
        """Attend in every group and differentiate."""
        for inputs, grad in zip(self.inputs, self.grads, strict=True):
            torch.autograd.grad(dense(*inputs), inputs, grad)
