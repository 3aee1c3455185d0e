"""The decoder of the slide-level masked autoencoder.

Shapes: B slides, L tiles, V visible tiles of the fullest slide, D the decoder's width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gigakit.nn.attention.sequence_parallel import split_tokens
from gigakit.nn.blocks import LongNetBlock, initialise
from gigakit.nn.packing import first_tokens, prepend, with_cls, without_first
from gigakit.registry import ATTENTIONS, HEADS, POSITIONS


@HEADS.register_module()
class MaskedDecoder(nn.Module):
    """Predict every tile's embedding from the encoded visible tiles.

    Encoded tokens return to their places in the sequence, a learned token stands for each hidden
    tile, positions are added, and blocks mix them; cls goes along without a position.

    Args:
        input_dim: width of the encoder.
        output_dim: width of the tile embeddings.
        width: D; 512 in MAE.
        depth: blocks; 8 in MAE.
        heads: 16 in MAE.
        mlp_ratio: hidden width of the feed-forward over D.
        attention: config from ATTENTIONS; dilated, since a slide has up to 70,000 tiles.
        position: config from POSITIONS.

    Source: MAE (He et al. 2022) section 3, "MAE decoder"; the paper of Prov-GigaPath does not
        describe its decoder.
    """

    def __init__(
        self,
        *,
        input_dim: int,
        output_dim: int,
        width: int = 512,
        depth: int = 8,
        heads: int = 16,
        mlp_ratio: float = 4.0,
        attention: dict[str, Any] | None = None,
        position: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.width = width
        self.attention: nn.Module = ATTENTIONS.build(attention or {"type": "DilatedAttention"})
        self.position: nn.Module = POSITIONS.build(position or {"type": "GridSinCos2d"})
        self.embed = nn.Linear(input_dim, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.blocks = nn.ModuleList(
            LongNetBlock(
                width=width, heads=heads, hidden=int(width * mlp_ratio), attention=self.attention
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.predict = nn.Linear(width, output_dim)
        self.apply(initialise)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(
        self,
        tokens: Tensor,
        grid: Tensor,
        token_mask: Tensor,
        padding_mask: Tensor | None = None,
        lengths: list[int] | None = None,
    ) -> Tensor:
        """Predict embeddings.

        Args:
            tokens: ``(B, 1 + V, input_dim)`` encoder output, cls first, each slide's visible tiles
                in the order of the sequence.
            grid: ``(B, L, 2)`` positions of all tiles.
            token_mask: ``(B, L)`` bool, True = masked out.
            padding_mask: ``(B, L)`` bool, True = padding, on the right; ``None`` for none.
            lengths: tiles of each slide where slides are packed one after another, B = 1.

        Returns:
            ``(B, L, output_dim)``; what stands at padding has no meaning.
        """
        encoded = self.embed(tokens)
        visible = ~token_mask if padding_mask is None else ~(token_mask | padding_mask)
        seen = None
        if lengths is not None:
            seen = with_cls(
                [int(slide.sum()) for slide in visible.split_with_sizes(lengths, dim=1)]
            )
        # the i-th visible tile of a sequence is its i-th encoded token
        rank = (visible.cumsum(dim=1) - 1).clamp(min=0)
        placed = torch.take_along_dim(without_first(encoded, seen), rank.unsqueeze(-1), dim=1)
        x = torch.where(visible.unsqueeze(-1), placed, self.mask_token.to(placed.dtype))
        x = x + self.position(grid, self.width).to(x.dtype)
        packed = with_cls(lengths) if lengths else None
        split = split_tokens(grid, padding_mask) if lengths is None else None
        # of slides that lie on several processes, the first process has cls
        cls_tokens = 1 if split is None else split.cls_tokens
        if split is None:
            x = prepend(first_tokens(encoded, seen), x, lengths)
        else:
            x = torch.cat([encoded[:, :cls_tokens], x], dim=1)
        padding = None
        if padding_mask is not None:
            padding = nn.functional.pad(padding_mask, (cls_tokens, 0))
        for block in self.blocks:
            x = block(x, padding, packed or split)
        x = x[:, cls_tokens:] if packed is None else without_first(x, packed)
        predictions: Tensor = self.predict(self.norm(x))
        return predictions
