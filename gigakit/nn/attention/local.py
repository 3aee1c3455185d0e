"""Local attention: each token attends to its neighbours in the sequence.

Shapes: B batch, T tokens, H heads, D head dimension, n blocks of r queries.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gigakit.core.errors import ConfigError
from gigakit.nn.attention.stretches import real_lengths, runs
from gigakit.registry import ATTENTIONS


@ATTENTIONS.register_module()
class LocalAttention(nn.Module):
    """Softmax attention among the tokens at most ``reach`` places away, at a linear cost.

    Formula: ``softmax over |i - j| <= r of (q_i k_j / sqrt(D))``. A block of r queries is computed
    against the 3 r keys around it, so 1.5 times the real pairs are. A slide's tokens are in reading
    order, so neighbours in the sequence are neighbours along a row of tiles.

    Args:
        reach: r, tokens on each side; 512 makes a window as wide as dilated attention's first
            segment.

    Raises:
        ConfigError: a reach under 1.

    Source: Longformer (Beltagy et al. 2020) section 3.1, "sliding window", on both sides.
    """

    def __init__(self, *, reach: int = 512) -> None:
        super().__init__()
        if reach < 1:
            raise ConfigError(f"got {reach}", where="LocalAttention.reach", fix="give 1 or more")
        self.reach = reach

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
        if key_padding_mask is None:
            return self._attend(q, k, v)
        parts = []
        for first, end, length in runs(real_lengths(key_padding_mask, "LocalAttention")):
            out = self._attend(*(x[first:end, :length] for x in (q, k, v)))
            parts.append(functional.pad(out, (0, 0, 0, 0, 0, q.shape[1] - length)))
        return torch.cat(parts)

    def flops(self, length: int, heads: int, head_dim: int) -> int:
        """Return the FLOPs of the real pairs of ``length`` tokens, 2 per multiply-add."""
        reach = min(self.reach, max(length - 1, 0))
        pairs = length * (2 * reach + 1) - reach * (reach + 1)
        return 4 * pairs * heads * head_dim

    def describe(self, length: int) -> str:
        """Say what the variant does on ``length`` tokens."""
        if length <= self.reach + 1:
            return f"full attention, since {length} tokens lie within local attention's reach"
        return f"local attention to {self.reach} of {length} tokens on each side"

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        B, T, H, D = q.shape
        if T == 0:
            # as empty as its terms, and keeps their gradients
            return q + k + v
        block = min(self.reach, T)
        blocks = -(-T // block)
        fill = blocks * block - T
        queries = functional.pad(q, (0, 0, 0, 0, 0, fill)).view(B * blocks, block, H, D)
        keys, values = (
            functional.pad(x, (0, 0, 0, 0, block, fill + block))
            .unfold(1, 3 * block, block)
            .permute(0, 1, 2, 4, 3)
            .flatten(0, 1)
            for x in (k, v)
        )
        seen = self._seen(T, block, blocks, q.device).repeat(B, 1, 1).unsqueeze(1)
        out = functional.scaled_dot_product_attention(
            queries.transpose(1, 2), keys, values, attn_mask=seen
        )
        return out.transpose(1, 2).reshape(B, blocks * block, H, D)[:, :T]

    def _seen(self, length: int, block: int, blocks: int, device: torch.device) -> Tensor:
        """Return which keys each query may see: ``(n, r, 3 r)`` bool."""
        query = torch.arange(blocks * block, device=device).view(blocks, block, 1)
        key = torch.arange(3 * block, device=device) - block
        key = key + torch.arange(blocks, device=device).view(blocks, 1, 1) * block
        near = (query - key).abs() <= self.reach
        # a query that fills up the last block needs some key, and is cut off
        return near & (((key >= 0) & (key < length)) | (query >= length))
