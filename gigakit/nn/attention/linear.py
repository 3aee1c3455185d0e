"""Linear attention: a kernel instead of the softmax, at a cost linear in the tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gigakit.registry import ATTENTIONS


@ATTENTIONS.register_module()
class LinearAttention(nn.Module):
    """Attention by the feature map ``phi(x) = elu(x) + 1``: the linear-cost baseline.

    Formula: ``out_i = phi(q_i) S / (phi(q_i) z)`` with ``S = sum_j phi(k_j)^T v_j`` and ``z = sum_j
    phi(k_j)``, cost ``4 L H D²`` FLOPs: a token sees all others through D² numbers a head.

    Source: Katharopoulos et al. 2020, "Transformers are RNNs", equations 5 to 7, not causal.
    """

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, *, key_padding_mask: Tensor | None = None
    ) -> Tensor:
        """Attend; sums over tokens are kept in at least float32.

        Args:
            q: queries ``(B, L, H, D)``.
            k: keys ``(B, L, H, D)``.
            v: values ``(B, L, H, D)``.
            key_padding_mask: ``(B, L)`` bool, True = padding.

        Returns:
            ``(B, L, H, D)``, zero at padding.
        """
        exact = torch.promote_types(q.dtype, torch.float32)
        queries, keys = (functional.elu(x.to(exact)) + 1.0 for x in (q, k))
        if key_padding_mask is not None:
            padding = key_padding_mask[:, :, None, None]
            queries, keys = (x.masked_fill(padding, 0.0) for x in (queries, keys))
        sums = torch.einsum("blhd,blhe->bhde", keys, v.to(exact))
        total = torch.einsum("blhd,bhd->blh", queries, keys.sum(dim=1))
        out = torch.einsum("blhd,bhde->blhe", queries, sums)
        # padding has no weight at all
        out = out / total.clamp(min=torch.finfo(exact).tiny).unsqueeze(-1)
        return out.to(q.dtype)

    def flops(self, length: int, heads: int, head_dim: int) -> int:
        """Return the FLOPs of one forward over ``length`` tokens, 2 per multiply-add."""
        return 4 * length * heads * head_dim * head_dim

    def describe(self, length: int) -> str:
        """Say what the variant does on ``length`` tokens."""
        return f"linear attention over {length} tokens"
