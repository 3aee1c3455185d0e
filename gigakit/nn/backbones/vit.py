"""The tile encoder: a vision transformer.

Shapes: B tiles, P patches, D width.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gigakit.core.errors import ConfigError
from gigakit.registry import ATTENTIONS, BACKBONES


class _PatchEmbed(nn.Module):
    """Cut an image into patches and project each."""

    def __init__(self, patch_size: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, kernel_size=patch_size, stride=patch_size)


class _Attention(nn.Module):
    """Joint query-key-value projection around an attention variant."""

    def __init__(self, width: int, heads: int, attention: nn.Module) -> None:
        super().__init__()
        self.heads = heads
        self.attention = attention
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(2)
        out: Tensor = self.proj(self.attention(q, k, v).flatten(-2))
        return out


class _FeedForward(nn.Module):
    """An MLP with GELU, or SwiGLU with both halves packed in one matrix."""

    def __init__(self, width: int, hidden: int, *, gated: bool) -> None:
        super().__init__()
        self.gated = gated
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden // 2 if gated else hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.fc1(x)
        if self.gated:
            gate, value = hidden.chunk(2, dim=-1)
            hidden = functional.silu(gate) * value
        else:
            hidden = functional.gelu(hidden)
        out: Tensor = self.fc2(hidden)
        return out


class _LayerScale(nn.Module):
    """A learned factor per channel."""

    def __init__(self, width: int, initial: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), initial))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _Block(nn.Module):
    """One pre-norm transformer block."""

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int,
        attention: nn.Module,
        *,
        gated: bool,
        layer_scale: float | None,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = _Attention(width, heads, attention)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = _FeedForward(width, hidden, gated=gated)
        self.ls1, self.ls2 = (
            nn.Identity() if layer_scale is None else _LayerScale(width, layer_scale)
            for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        out: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return out


@BACKBONES.register_module()
class VisionTransformer(nn.Module):
    """Embed tiles; names and shapes follow timm, so GigaPath's weights load strictly.

    GigaPath's tile encoder is ``width=1536, depth=40, heads=24, mlp_ratio=5.33334, ffn="swiglu",
    layer_scale=1e-5`` (1,134,953,984 parameters, 566 tensors).

    Args:
        image_size: side of the input in px.
        patch_size: side of a patch in px; 16 for GigaPath.
        width: D.
        depth: blocks.
        heads: attention heads.
        mlp_ratio: width of the feed-forward's first layer over D; both halves of SwiGLU count.
        ffn: ``mlp`` (GELU) or ``swiglu``.
        layer_scale: initial value of LayerScale; ``None`` leaves it out.
        attention: config from ATTENTIONS.

    Raises:
        ConfigError: sizes that do not divide, or an unknown ffn.

    Source: Dosovitskiy et al. 2021; DINOv2 (Oquab et al. 2024) for SwiGLU and
        LayerScale.
    """

    def __init__(
        self,
        *,
        image_size: int = 224,
        patch_size: int = 16,
        width: int = 384,
        depth: int = 12,
        heads: int = 6,
        mlp_ratio: float = 4.0,
        ffn: Literal["mlp", "swiglu"] = "mlp",
        layer_scale: float | None = None,
        attention: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if image_size % patch_size or width % heads:
            raise ConfigError(
                f"image_size {image_size} / patch_size {patch_size}, width {width} / heads {heads}",
                where="VisionTransformer",
                fix="choose sizes that divide",
            )
        if ffn not in ("mlp", "swiglu"):
            raise ConfigError(
                f"unknown ffn '{ffn}'", where="VisionTransformer", fix="mlp or swiglu"
            )
        self.width = width
        self.image_size = image_size
        variant = ATTENTIONS.build(attention or {"type": "FullAttention"})
        self.patch_embed = _PatchEmbed(patch_size, width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        patches = (image_size // patch_size) ** 2
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + patches, width))
        self.blocks = nn.ModuleList(
            _Block(
                width,
                heads,
                int(width * mlp_ratio),
                variant,
                gated=ffn == "swiglu",
                layer_scale=layer_scale,
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self._initialise()

    @property
    def sequence_length(self) -> int:
        """Tokens of an image, the cls token among them."""
        return self.pos_embed.shape[1]

    def forward(self, images: Tensor) -> Tensor:
        """Embed images ``(B, 3, S, S)`` as the normalised cls token ``(B, D)``."""
        return self.tokens(images)[:, 0]

    def tokens(self, images: Tensor) -> Tensor:
        """Return all tokens ``(B, 1 + P, D)`` after the final norm, cls first.

        Raises:
            ConfigError: images of another size.
        """
        if images.shape[-2:] != (self.image_size, self.image_size):
            raise ConfigError(
                f"got images of {tuple(images.shape[-2:])} px",
                where="VisionTransformer",
                fix=f"crop to image_size {self.image_size}",
            )
        x = self.patch_embed.proj(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        normed: Tensor = self.norm(x)
        return normed

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.normal_(self.cls_token, std=1e-6)
