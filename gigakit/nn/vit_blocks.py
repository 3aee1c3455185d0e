"""The vision transformer's parts, named as timm names them.

Shapes: B images, T tokens, D width, H heads. Where groups are given, the sequence is packed,
``(1, T, D)`` (see :mod:`gigakit.nn.crop_groups`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gigakit.nn.crop_groups import Groups, join_groups, split_groups
from gigakit.nn.recomputed import recomputed
from gigakit.nn.stochastic_depth import DropPathMode, StochasticDepth


class PatchEmbed(nn.Module):
    """Cut an image into patches and project each."""

    def __init__(self, patch_size: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, kernel_size=patch_size, stride=patch_size)

    def forward(self, images: Tensor) -> Tensor:
        """Return the patches ``(B, P, D)`` of images ``(B, 3, h, w)``."""
        patches: Tensor = self.proj(images).flatten(2).transpose(1, 2)
        return patches


class Attention(nn.Module):
    """Joint query-key-value projection around an attention variant."""

    def __init__(self, width: int, heads: int, attention: nn.Module, *, bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.attention = attention
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.proj = nn.Linear(width, width, bias=bias)

    def forward(
        self, x: Tensor, groups: Groups | None = None, scale: Tensor | None = None
    ) -> Tensor:
        """Attend within each image; projections run over all groups at once.

        Args:
            x: ``(B, T, D)``, or groups packed.
            groups: samples and tokens of each group of a packed sequence.
            scale: ``(D,)``, a factor of each output channel.
        """
        if groups is None:
            merged = self._attend(self.qkv(x))
        else:
            merged = join_groups([self._attend(y) for y in split_groups(self.qkv(x), groups)])
        return scaled_linear(self.proj, merged, scale)

    def _attend(self, qkv: Tensor) -> Tensor:
        q, k, v = torch.unflatten(qkv, -1, (3, self.heads, -1)).unbind(2)
        out: Tensor = self.attention(q, k, v).flatten(-2)
        return out


class FeedForward(nn.Module):
    """An MLP with GELU, or SwiGLU with both halves packed in one matrix, the gate first."""

    def __init__(self, width: int, hidden: int, *, gated: bool, bias: bool = True) -> None:
        super().__init__()
        self.gated = gated
        self.fc1 = nn.Linear(width, hidden, bias=bias)
        self.fc2 = nn.Linear(hidden // 2 if gated else hidden, width, bias=bias)

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        """Transform tokens ``(..., D)``, each output channel times ``scale`` ``(D,)``."""
        before = self.fc1(x)
        hidden = self._activated(before)
        with recomputed(hidden, lambda: self._activated(before)):
            return scaled_linear(self.fc2, hidden, scale)

    def _activated(self, before: Tensor) -> Tensor:
        if not self.gated:
            return functional.gelu(before)
        gate, value = before.chunk(2, dim=-1)
        return functional.silu(gate) * value


def scaled_linear(layer: nn.Linear, x: Tensor, scale: Tensor | None) -> Tensor:
    """Return ``scale · layer(x)``; the factors go into the matrix, which has fewer rows than x."""
    if scale is None:
        out: Tensor = layer(x)
        return out
    bias = None if layer.bias is None else layer.bias * scale
    return functional.linear(x, layer.weight * scale.unsqueeze(1), bias)


class LayerScale(nn.Module):
    """A learned factor per channel, which the layer before it applies."""

    def __init__(self, width: int, initial: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), initial))


class VitBlock(nn.Module):
    """One pre-norm transformer block.

    Args:
        width: D.
        heads: H.
        hidden: width of the feed-forward's first layer.
        attention: an attention variant; blocks may share it, since it has no parameters.
        gated: SwiGLU in place of GELU.
        layer_scale: initial value of LayerScale; ``None`` leaves it out.
        bias: linear layers have biases.
        drop_path: fraction of samples that go without a residual branch in training.
        drop_path_mode: see :class:`~gigakit.nn.stochastic_depth.StochasticDepth`.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        attention: nn.Module,
        *,
        gated: bool,
        layer_scale: float | None,
        bias: bool = True,
        drop_path: float = 0.0,
        drop_path_mode: DropPathMode = "subset",
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads, attention, bias=bias)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = FeedForward(width, hidden, gated=gated, bias=bias)
        self.ls1, self.ls2 = (
            nn.Identity() if layer_scale is None else LayerScale(width, layer_scale)
            for _ in range(2)
        )
        self.residual = StochasticDepth(drop_path, drop_path_mode)

    def forward(
        self, x: Tensor, groups: Groups | None = None, read: Tensor | None = None
    ) -> Tensor:
        """Transform ``(B, T, D)``, or groups packed; each branch draws its own samples.

        Args:
            x: tokens.
            groups: samples and tokens of each group of a packed sequence.
            read: ``(R,)``, the rows of a packed sequence that anything reads: returned are these,
                ``(1, R, D)``, and only attention is computed of the others.
        """
        x = self.residual(x, self._attend, groups)
        out: Tensor = self.residual(x, self._feed, groups, read)
        return out

    def _attend(self, x: Tensor, groups: Groups | None) -> Tensor:
        out: Tensor = self.attn(self.norm1(x), groups, getattr(self.ls1, "gamma", None))
        return out

    def _feed(self, x: Tensor, groups: Groups | None) -> Tensor:
        del groups
        out: Tensor = self.mlp(self.norm2(x), getattr(self.ls2, "gamma", None))
        return out
