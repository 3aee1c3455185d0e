"""The slide encoder: LongNet over a slide's tile embeddings.

Shapes: B slides, L tiles, T = L + 1 tokens (cls first), D width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gigakit.core.errors import ConfigError
from gigakit.nn.attention.sequence_parallel import TokenSplit, split_tokens
from gigakit.nn.blocks import Layout, LongNetBlock, initialise
from gigakit.nn.packing import prepend, with_cls
from gigakit.registry import ATTENTIONS, BACKBONES, POSITIONS


def derive_segment_lengths(max_slide_px: int = 262_144, tile_size_px: int = 256) -> list[int]:
    """Return the published model's five segment lengths for a largest slide side and a tile size.

    Formula: with ``S = floor(max / tile)^2``, ``int(2^e)`` for five values of e evenly spaced from
    10 to ``int(log2 S)``.

    Source: Prov-GigaPath's published slide encoder.
    """
    tiles = (max_slide_px // tile_size_px) ** 2
    return [int(2**e) for e in np.linspace(10, int(np.log2(tiles)), 5)]


class _TileProjection(nn.Module):
    """The linear layer from tile embeddings to the width, under its published name."""

    def __init__(self, input_dim: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(input_dim, width)


class _Blocks(nn.Module):
    """The blocks and their final norm, under their published names."""

    def __init__(self, blocks: list[LongNetBlock], width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(blocks)
        self.layer_norm = nn.LayerNorm(width, eps=1e-5)


class LayerEmbeddings(NamedTuple):
    """The slide embeddings that one pass over the blocks gives.

    Attributes:
        cls: ``(depth + 1, B, D)``: the cls token as embedded (index 0) and after each block,
            through the model's own last norm only.
        mean: ``(depth + 1, B, D)``: alike, of the mean over tiles.
        last_cls: ``(B, D)``: the cls token after the last block, through both final norms.
        last_mean: ``(B, D)``: the mean over tiles after the last block and the encoder's norm,
            then through the last norm.
    """

    cls: Tensor
    mean: Tensor
    last_cls: Tensor
    last_mean: Tensor


@BACKBONES.register_module()
class LongNet(nn.Module):
    """Encode a slide's sequence of tile embeddings, with a cls token, by dilated attention.

    Inside :func:`~gigakit.nn.attention.sequence_parallel.sequence_parallel` each process gives its
    own part of the tiles and gets whole slides' embeddings, or the tokens of its part.

    The state dict has the published names and shapes (247 tensors at depth 12), so published
    weights load strictly as they are.

    Args:
        input_dim: width of the tile embeddings; 1536 for GigaPath's tile encoder.
        width: D; 768 in the published model.
        depth: blocks; 12 in the published model.
        heads: 16 in the published model.
        mlp_ratio: hidden width of the feed-forward over D.
        attention: config from ATTENTIONS.
        position: config from POSITIONS.
        dropout: 0.25 in the published class.
        drop_path: rate of the last block, linear from 0; 0.1 in the published class.
        pooling: what :meth:`forward` returns: the cls token, or the mean over tiles.

    Raises:
        ConfigError: an unknown pooling.

    Source: Prov-GigaPath, Methods, "LongNet"; its published slide encoder.
    Differs: positions come by formula instead of a table; padding is masked.
    """

    def __init__(
        self,
        *,
        input_dim: int,
        width: int = 768,
        depth: int = 12,
        heads: int = 16,
        mlp_ratio: float = 4.0,
        attention: dict[str, Any] | None = None,
        position: dict[str, Any] | None = None,
        dropout: float = 0.25,
        drop_path: float = 0.1,
        pooling: Literal["cls", "mean"] = "cls",
    ) -> None:
        super().__init__()
        if pooling not in ("cls", "mean"):
            raise ConfigError(f"unknown pooling '{pooling}'", where="LongNet", fix="cls or mean")
        self.width = width
        self.pooling = pooling
        self.attention: nn.Module = ATTENTIONS.build(attention or {"type": "DilatedAttention"})
        self.position: nn.Module = POSITIONS.build(position or {"type": "GridSinCos2d"})
        self.patch_embed = _TileProjection(input_dim, width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.dropout = nn.Dropout(dropout)
        blocks = [
            LongNetBlock(
                width=width,
                heads=heads,
                hidden=int(width * mlp_ratio),
                attention=self.attention,
                dropout=dropout,
                drop_path=drop_path * i / max(depth - 1, 1),
            )
            for i in range(depth)
        ]
        self.encoder = _Blocks(blocks, width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.apply(initialise)
        nn.init.normal_(self.cls_token, std=0.02)

    def forward(
        self, features: Tensor, grid: Tensor, *, padding_mask: Tensor | None = None
    ) -> Tensor:
        """Embed slides.

        Args:
            features: ``(B, L, input_dim)`` tile embeddings.
            grid: ``(B, L, 2)`` positions in tiles, column then row.
            padding_mask: ``(B, L)`` bool, True = padding, on the right.

        Returns:
            ``(B, D)``: cls after both final norms, or the mean over tiles and then the last norm.
        """
        split = split_tokens(features, padding_mask)
        x = self.encoder.layer_norm(self._last(features, grid, padding_mask, split))
        return self.pool(x, padding_mask, split=split)

    def tokens(
        self,
        features: Tensor,
        grid: Tensor,
        *,
        padding_mask: Tensor | None = None,
        lengths: list[int] | None = None,
    ) -> Tensor:
        """Return all tokens ``(B, 1 + L, D)`` after both final norms, cls first.

        With ``lengths`` the slides are packed one after another, ``(1, N, input_dim)``, and so are
        their tokens, ``(1, N + slides, D)``, each slide's cls before its own.
        """
        split = split_tokens(features, padding_mask)
        x = self._last(features, grid, padding_mask, split if lengths is None else lengths)
        normed: Tensor = self.norm(self.encoder.layer_norm(x))
        return normed if split is None else split.with_cls(normed)

    def all_layers(
        self, features: Tensor, grid: Tensor, *, padding_mask: Tensor | None = None
    ) -> LayerEmbeddings:
        """Return the slide embeddings of the input and of each block, under both poolings.

        As published, the depth + 1 embeddings skip the encoder's own final norm, so the last one
        is not what :meth:`forward` returns. Each layer is pooled before the next one runs, so that
        one layer's tokens are held at a time.
        """
        split = split_tokens(features, padding_mask)

        def both(x: Tensor) -> list[Tensor]:
            return [self.pool(x, padding_mask, pooling=p, split=split) for p in ("cls", "mean")]

        pooled = []
        for x in self._hidden(features, grid, padding_mask, split):
            pooled.append(both(x))
        last_cls, last_mean = both(self.encoder.layer_norm(x))
        cls, mean = (torch.stack(layers) for layers in zip(*pooled, strict=True))
        return LayerEmbeddings(cls, mean, last_cls, last_mean)

    def pool(
        self,
        x: Tensor,
        padding_mask: Tensor | None = None,
        *,
        pooling: str | None = None,
        split: TokenSplit | None = None,
    ) -> Tensor:
        """Reduce tokens ``(B, 1 + L, D)`` to ``(B, D)`` by the pooling chosen, then normalise."""
        pooling = pooling or self.pooling
        if split is not None:
            pooled = split.cls(x) if pooling == "cls" else split.mean_of_tiles(x, padding_mask)
        elif pooling == "cls":
            pooled = x[:, 0]
        elif padding_mask is None:
            pooled = x[:, 1:].mean(dim=1)
        else:
            keep = (~padding_mask).unsqueeze(-1).to(x.dtype)
            pooled = (x[:, 1:] * keep).sum(dim=1) / keep.sum(dim=1).clamp(min=1)
        normed: Tensor = self.norm(pooled)
        return normed

    def embed(self, features: Tensor, grid: Tensor, layout: Layout | None = None) -> Tensor:
        """Project tiles, add positions, prepend cls: ``(B, 1 + L, D)``.

        Of slides that lie on several processes, the first process has cls.
        """
        # under autocast the residual stream keeps the parameters' precision, as published
        x = self.patch_embed.proj(features).to(self.cls_token.dtype)
        x = x + self.position(grid, self.width).to(x.dtype)
        if isinstance(layout, TokenSplit):
            cls = self.cls_token.to(x.dtype).expand(len(x), -1, -1)
            return torch.cat([cls[:, : layout.cls_tokens], x], dim=1)
        return prepend(self.cls_token, x, layout)

    def _hidden(
        self,
        features: Tensor,
        grid: Tensor,
        padding_mask: Tensor | None,
        layout: Layout | None = None,
    ) -> Iterator[Tensor]:
        """Yield the tokens ``(B, 1 + L, D)`` as embedded, then after each block.

        ``layout`` counts tiles alone where slides are packed, and cls too where they are split.
        """
        if padding_mask is not None:
            # cls is never padding
            cls_tokens = layout.cls_tokens if isinstance(layout, TokenSplit) else 1
            padding_mask = nn.functional.pad(padding_mask, (cls_tokens, 0), value=False)
        x = self.dropout(self.embed(features, grid, layout))
        if isinstance(layout, list):
            layout = with_cls(layout)
        yield x
        for block in self.encoder.layers:
            x = block(x, padding_mask, layout)
            yield x

    def _last(
        self,
        features: Tensor,
        grid: Tensor,
        padding_mask: Tensor | None,
        layout: Layout | None = None,
    ) -> Tensor:
        """Return the tokens after the last block."""
        for x in self._hidden(features, grid, padding_mask, layout):
            last = x
        return last
