"""The tile encoder: a vision transformer.

Shapes: B tiles, P patches, R registers, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gigakit.core.errors import ConfigError
from gigakit.nn.convolutional_stem import ConvolutionalStem
from gigakit.nn.crop_groups import join_groups, split_groups
from gigakit.nn.position_interpolation import interpolate_positions
from gigakit.nn.stochastic_depth import drop_path_rates
from gigakit.nn.vit_blocks import PatchEmbed, VitBlock
from gigakit.nn.vit_tokens import VitTokens, read_rows, tokens_of_rows
from gigakit.registry import ATTENTIONS, BACKBONES


@BACKBONES.register_module()
class VisionTransformer(nn.Module):
    """Embed tiles; names and shapes follow timm, so GigaPath's weights load strictly.

    GigaPath's tile encoder is ``width=1536, depth=40, heads=24, mlp_ratio=5.33334, ffn="swiglu",
    layer_scale=1e-5`` (1,134,953,984 parameters, 566 tensors).

    Args:
        image_size: side in px of the images whose grid of patches has the learned positions; other
            sizes interpolate them.
        patch_size: side of a patch in px; 16 for GigaPath.
        width: D.
        depth: blocks.
        heads: attention heads.
        mlp_ratio: width of the feed-forward's first layer over D; both halves of SwiGLU count.
        ffn: ``mlp`` (GELU) or ``swiglu``.
        layer_scale: initial value of LayerScale; ``None`` leaves it out. 1e-5 for training.
        attention: config from ATTENTIONS.
        registers: R tokens without position, after the cls token; DINOv2 has 0 or 4.
        maskable: have a token that stands for masked patches in pretraining.
        drop_path: rate of stochastic depth; DINOv2 has 0.3 (ViT-L, short) and 0.4.
        drop_path_shape: ``uniform`` over depth (DINOv2), or ``linear`` from 0.
        drop_path_mode: ``subset`` computes a branch for the samples it keeps alone (DINOv2),
            ``sample`` drops each with its own probability.
        biases: linear layers have biases; the patch projection always has one.
        interpolation: of positions, ``offset`` (DINOv2 without registers) or ``antialiased``.
        stem: what embeds a patch, ``linear``, or ``convolutional``, which sees texture where tiles
            are few.

    Raises:
        ConfigError: sizes that do not divide, a rate outside of [0, 1), or an unknown choice.

    Source: Dosovitskiy et al. 2021; DINOv2 (Oquab et al. 2024) for SwiGLU, LayerScale, stochastic
        depth and packed crops; Darcet et al. 2024 for registers.
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
        registers: int = 0,
        maskable: bool = False,
        drop_path: float = 0.0,
        drop_path_shape: Literal["uniform", "linear"] = "uniform",
        drop_path_mode: Literal["subset", "sample"] = "subset",
        biases: bool = True,
        interpolation: Literal["offset", "antialiased"] = "offset",
        stem: Literal["linear", "convolutional"] = "linear",
    ) -> None:
        super().__init__()
        if image_size % patch_size or width % heads:
            raise ConfigError(
                f"image_size {image_size} / patch_size {patch_size}, width {width} / heads {heads}",
                where="VisionTransformer",
                fix="choose sizes that divide",
            )
        _check_choice("ffn", ffn, ("mlp", "swiglu"))
        _check_choice("drop_path_shape", drop_path_shape, ("uniform", "linear"))
        _check_choice("drop_path_mode", drop_path_mode, ("subset", "sample"))
        _check_choice("interpolation", interpolation, ("offset", "antialiased"))
        _check_choice("stem", stem, ("linear", "convolutional"))
        if ffn == "swiglu" and int(width * mlp_ratio) % 2:
            raise ConfigError(
                f"mlp_ratio {mlp_ratio} makes {int(width * mlp_ratio)} of width {width}",
                where="VisionTransformer.mlp_ratio",
                fix="SwiGLU has two halves; choose an even product",
            )
        if not 0.0 <= drop_path < 1.0 or registers < 0:
            raise ConfigError(
                f"drop_path {drop_path}, registers {registers}",
                where="VisionTransformer",
                fix="give 0 <= drop_path < 1 and 0 registers or more",
            )
        self.width = width
        self.image_size = image_size
        self.patch_size = patch_size
        self.registers = registers
        self.interpolation: Literal["offset", "antialiased"] = interpolation
        variant = ATTENTIONS.build(attention or {"type": "FullAttention"})
        self.stem = stem
        self.patch_embed = (PatchEmbed if stem == "linear" else ConvolutionalStem)(
            patch_size, width
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        patches = (image_size // patch_size) ** 2
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + patches, width))
        self.register_tokens = nn.Parameter(torch.zeros(1, registers, width)) if registers else None
        self.mask_token = nn.Parameter(torch.zeros(1, width)) if maskable else None
        self.blocks = nn.ModuleList(
            VitBlock(
                width,
                heads,
                int(width * mlp_ratio),
                variant,
                gated=ffn == "swiglu",
                layer_scale=layer_scale,
                bias=biases,
                drop_path=rate,
                drop_path_mode=drop_path_mode,
            )
            for rate in drop_path_rates(drop_path, depth, drop_path_shape)
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self._initialise()

    @property
    def sequence_length(self) -> int:
        """Tokens of an image of ``image_size``, the cls token and registers among them."""
        return self.pos_embed.shape[1] + self.registers

    def forward(self, images: Tensor) -> Tensor:
        """Embed images ``(B, 3, h, w)`` as the normalised cls token ``(B, D)``."""
        x = self._embed(images, None)
        for block in self.blocks[:-1]:
            x = block(x)
        samples, tokens = x.shape[:2]
        first = torch.arange(0, samples * tokens, tokens, device=x.device)
        packed = x.flatten(0, 1).unsqueeze(0)
        normed: Tensor = self.norm(self.blocks[-1](packed, ((samples, tokens),), first))
        return normed[0]

    def tokens(self, images: Tensor) -> Tensor:
        """Return all tokens ``(B, 1 + R + P, D)`` after the final norm: cls, registers, patches.

        Raises:
            ConfigError: sides that are no multiples of the patch size.
        """
        x = self._embed(images, None)
        for block in self.blocks:
            x = block(x)
        normed: Tensor = self.norm(x)
        return normed

    def intermediate(self, images: Tensor, blocks: Sequence[int]) -> list[VitTokens]:
        """Return the tokens after some blocks, each through the final norm.

        Args:
            images: ``(B, 3, h, w)``.
            blocks: from 0, or negative from the last.

        Raises:
            ConfigError: sides that are no multiples of the patch size, or no such block.
        """
        depth = len(self.blocks)
        outside = [block for block in blocks if not -depth <= block < depth]
        if outside:
            raise ConfigError(
                f"no block {outside[0]}", where="VisionTransformer", fix=f"it has {depth}"
            )
        wanted = [block % depth for block in blocks]
        found: dict[int, VitTokens] = {}
        x = self._embed(images, None)
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in wanted:
                found[index] = self._tokens_by_kind(self.norm(x))
        return [found[index] for index in wanted]

    def forward_views(
        self,
        views: Sequence[Tensor],
        masks: Sequence[Tensor | None] | None = None,
        read: Sequence[Tensor | None] | None = None,
    ) -> list[VitTokens]:
        """Return the tokens of crops of several sizes, as separate calls would.

        All layers but attention run once over the tokens of all views.

        Args:
            views: crops of one size each, ``(n, 3, h, w)``.
            masks: of each view, ``(n, P)`` bool, True = masked out, or ``None``.
            read: of each view, which patches are returned beside the class tokens: places ``(M,)``
                in ``(n P,)``, or ``None`` for all. What nothing reads is spared the last block's
                feed-forward layers.

        Raises:
            ConfigError: sides that are no multiples of the patch size, masks without ``maskable``
                or of another shape.

        Source: DINOv2 (Oquab et al. 2024), section 5, "sequence packing".
        """
        given = [None] * len(views) if masks is None else masks
        embedded = [self._embed(view, mask) for view, mask in zip(views, given, strict=True)]
        groups = tuple((part.shape[0], part.shape[1]) for part in embedded)
        x = join_groups(embedded)
        # each view's own copy is not kept
        del embedded
        for block in self.blocks[:-1]:
            x = block(x, groups)
        if read is None or all(patches is None for patches in read):
            x = self.norm(self.blocks[-1](x, groups))
            return [self._tokens_by_kind(part) for part in split_groups(x, groups)]
        rows = read_rows(groups, read, 1 + self.registers)
        kept = self.norm(self.blocks[-1](x, groups, torch.cat(rows)))
        return tokens_of_rows(kept[0], rows, groups, read)

    def _embed(self, images: Tensor, mask: Tensor | None) -> Tensor:
        """Return cls, registers and patches ``(B, 1 + R + P, D)`` of images."""
        height, width = images.shape[-2:]
        if height % self.patch_size or width % self.patch_size:
            raise ConfigError(
                f"got images of {(height, width)} px",
                where="VisionTransformer",
                fix=f"crop to multiples of patch_size {self.patch_size}",
            )
        patches = self.patch_embed(images)
        if mask is not None:
            patches = self._masked(patches, mask)
        positions = interpolate_positions(
            self.pos_embed, height // self.patch_size, width // self.patch_size, self.interpolation
        )
        alike = [self.cls_token + positions[:, :1]]
        if self.register_tokens is not None:
            alike.append(self.register_tokens)
        tokens = [token.expand(len(images), -1, -1) for token in alike]
        return torch.cat([*tokens, patches + positions[:, 1:]], dim=1)

    def _masked(self, patches: Tensor, mask: Tensor) -> Tensor:
        if self.mask_token is None:
            raise ConfigError(
                "got masks, but has no mask token", where="VisionTransformer", fix="maskable=True"
            )
        if mask.shape != patches.shape[:2]:
            raise ConfigError(
                f"got masks {tuple(mask.shape)} for patches {tuple(patches.shape[:2])}",
                where="VisionTransformer",
                fix="make them for the crops' size and patch_size",
            )
        return torch.where(mask.unsqueeze(-1), self.mask_token.to(patches.dtype), patches)

    def _tokens_by_kind(self, x: Tensor) -> VitTokens:
        first = 1 + self.registers
        return VitTokens(cls=x[:, 0], registers=x[:, 1:first], patches=x[:, first:])

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.normal_(self.cls_token, std=1e-6)
        if self.register_tokens is not None:
            nn.init.normal_(self.register_tokens, std=1e-6)


def _check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(
            f"unknown {name} '{value}'",
            where="VisionTransformer",
            fix=f"choose {' or '.join(known)}",
        )
