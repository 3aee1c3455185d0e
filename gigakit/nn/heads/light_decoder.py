"""A decoder for slides of 70,000 tiles: hidden tiles ask the visible tiles nearest to them.

Shapes: B slides, L tiles, T tokens, N hidden tiles of all slides, K neighbours, H heads, D width.
"""

from __future__ import annotations

from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gigakit.core.errors import ConfigError
from gigakit.nn.blocks import SubLNFeedForward, initialise
from gigakit.nn.packing import with_cls
from gigakit.registry import HEADS

# hidden tiles computed at once, of which a long slide keeps only the result for the backward pass
_CHUNK = 4096
# distances held at once: 64 MB
_DISTANCES = 2**24


@HEADS.register_module()
class LightDecoder(nn.Module):
    """Predict each hidden tile from its nearest visible tiles, in one narrow block.

    A hidden tile at ``g`` asks the K nearest visible tiles of its slide, at ``g_j``, and cls::

        score_hj = <q_h, k_hj> / sqrt(D / H) - exp(s_h) |g - g_j|      (cls: no distance)
        x        = c + W LN(sum_j softmax_j(score_h) v_hj)
        out      = predict(LN(x + FFN(LN(x))))

    ``c`` is the mask token plus cls, and gives the queries; ``exp(s_h)`` is learned, from 4 to 1/32
    a tile over the heads at first. Only hidden tiles are computed, and the cost grows linearly with
    the slide but for the search of neighbours, which is one distance a pair.

    Args:
        input_dim: width of the encoder.
        output_dim: width of the tile embeddings.
        width: D.
        heads: H.
        neighbours: K.
        mlp_ratio: hidden width of the feed-forward over D.

    Raises:
        ConfigError: heads that do not divide the width, or no neighbour.

    Source: the distance bias is ALiBi's (Press et al. 2022) on Euclidean distances between tiles,
        as in TITAN's slide encoder (Ding et al. 2024); hidden tokens that ask visible ones alone
        are CrossMAE's (Fu et al. 2024). The paper of Prov-GigaPath does not describe its decoder.
    Differs: ALiBi's slopes are fixed.
    """

    def __init__(
        self,
        *,
        input_dim: int,
        output_dim: int,
        width: int = 256,
        heads: int = 8,
        neighbours: int = 16,
        mlp_ratio: float = 4.0,
    ) -> None:
        super().__init__()
        if width % heads or neighbours < 1:
            raise ConfigError(
                f"got width {width}, heads {heads}, neighbours {neighbours}",
                where="LightDecoder",
                fix="let heads divide the width, and give a neighbour",
            )
        self.heads, self.neighbours, self.output_dim = heads, neighbours, output_dim
        self.embed = nn.Linear(input_dim, width)
        self.mask_token = nn.Parameter(torch.zeros(1, width))
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.log_slope = nn.Parameter(torch.zeros(heads))
        self.norm_attended = nn.LayerNorm(width, eps=1e-6)
        self.out_proj = nn.Linear(width, width)
        self.norm_ffn = nn.LayerNorm(width, eps=1e-6)
        self.ffn = SubLNFeedForward(width, int(width * mlp_ratio))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.predict = nn.Linear(width, output_dim)
        self.apply(initialise)
        nn.init.normal_(self.mask_token, std=0.02)
        with torch.no_grad():
            self.log_slope.copy_(torch.linspace(2.0, -5.0, heads) * torch.log(torch.tensor(2.0)))

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
            tokens: ``(B, T, input_dim)`` encoder output, each slide's cls and then its visible
                tiles in the order of the sequence.
            grid: ``(B, L, 2)`` positions of all tiles.
            token_mask: ``(B, L)`` bool, True = masked out.
            padding_mask: ``(B, L)`` bool, True = padding, on the right; ``None`` for none.
            lengths: tiles of each slide where the slides are packed one after another, B = 1.

        Returns:
            ``(B, L, output_dim)``, zero where nothing is masked out.
        """
        hidden, slide, neighbour, distance, valid = self._neighbours(
            tokens, grid, token_mask, padding_mask, lengths
        )
        encoded = self.embed(tokens).flatten(0, 1)
        given = (self.mask_token + encoded)[slide]
        key, value = self.k_proj(encoded), self.v_proj(encoded)
        rows = (given, neighbour, distance, valid)
        parts = [
            self._block(*chunk, key=key, value=value)
            if len(hidden) <= _CHUNK
            else checkpoint(self._block, *chunk, key=key, value=value, use_reentrant=False)
            for chunk in zip(*(torch.split(x, _CHUNK) for x in rows), strict=True)
        ]
        predicted = self.predict(self.norm(torch.cat(parts)))
        out: Tensor = predicted.new_zeros(token_mask.numel(), self.output_dim)
        out = out.index_copy(0, hidden, predicted)
        return out.reshape(*token_mask.shape, self.output_dim)

    def _block(
        self,
        given: Tensor,
        neighbour: Tensor,
        distance: Tensor,
        valid: Tensor,
        *,
        key: Tensor,
        value: Tensor,
    ) -> Tensor:
        width = self.q_proj.out_features
        q_NHD = self.q_proj(given).reshape(-1, self.heads, width // self.heads)
        k_NKHD, v_NKHD = (
            x[neighbour].reshape(*neighbour.shape, *q_NHD.shape[1:]) for x in (key, value)
        )
        score = torch.einsum("nhd,nkhd->nkh", q_NHD, k_NKHD) * q_NHD.shape[-1] ** -0.5
        # distances are float32, and so is their difference to scores under autocast
        score = score - distance.unsqueeze(-1) * self.log_slope.exp()
        weight = score.masked_fill(~valid.unsqueeze(-1), -torch.inf).softmax(dim=1)
        attended = torch.einsum("nkh,nkhd->nhd", weight.to(v_NKHD.dtype), v_NKHD).flatten(-2)
        x = given + self.out_proj(self.norm_attended(attended))
        out: Tensor = x + self.ffn(self.norm_ffn(x))
        return out

    @torch.no_grad()
    def _neighbours(
        self,
        tokens: Tensor,
        grid: Tensor,
        token_mask: Tensor,
        padding_mask: Tensor | None,
        lengths: list[int] | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return flat places of hidden tiles ``(N,)``, of their cls, and their K + 1 neighbours.

        The neighbours ``(N, K + 1)`` are flat places of tokens, cls first, with their distances
        and whether there are so many.
        """
        flat_grid, flat_mask = grid.flatten(0, 1).float(), token_mask.flatten()
        found: list[tuple[Tensor, ...]] = []
        for tile, length, cls in _places(tokens, token_mask, padding_mask, lengths):
            masked = flat_mask[tile : tile + length]
            positions = flat_grid[tile : tile + length]
            distance, index = _nearest(positions[masked], positions[~masked], self.neighbours)
            missing = self.neighbours - index.shape[1]
            pad = nn.functional.pad
            found.append(
                (
                    masked.nonzero().flatten() + tile,
                    torch.full((len(index),), cls, device=grid.device),
                    pad(index + 1, (1, missing)) + cls,
                    pad(distance, (1, missing)),
                    pad(torch.ones_like(index, dtype=torch.bool), (1, missing)),
                )
            )
            # cls is always there
            found[-1][-1][:, 0] = True
        hidden, slide, neighbour, distance, valid = (
            torch.cat(part) for part in zip(*found, strict=True)
        )
        return hidden, slide, neighbour, distance, valid


def _places(
    tokens: Tensor, token_mask: Tensor, padding_mask: Tensor | None, lengths: list[int] | None
) -> list[tuple[int, int, int]]:
    """Return each slide's first tile, number of tiles, and cls token, in flattened tensors."""
    if lengths is None:
        slides, longest = token_mask.shape
        rows = [longest] * slides
        if padding_mask is not None:
            rows = (~padding_mask).sum(dim=1).tolist()
        return [(b * longest, length, b * tokens.shape[1]) for b, length in enumerate(rows)]
    visible = [int((~slide).sum()) for slide in token_mask.split_with_sizes(lengths, dim=1)]
    first = accumulate(lengths, initial=0)
    cls = accumulate(with_cls(visible), initial=0)
    return list(zip(first, lengths, cls, strict=False))


def _nearest(hidden: Tensor, visible: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return distances and indices of the nearest visible positions, ``(n, min(count, v))``."""
    count = min(count, len(visible))
    rows = max(1, _DISTANCES // max(len(visible), 1))
    parts = [
        # the mode that loses no digits to a difference of squares
        torch.cdist(part, visible, compute_mode="donot_use_mm_for_euclid_dist").topk(
            count, largest=False
        )
        for part in torch.split(hidden, rows)
    ]
    return torch.cat([p.values for p in parts]), torch.cat([p.indices for p in parts])
