"""Full attention: every token attends to every token."""

from __future__ import annotations

from torch import Tensor, nn

from gigakit.nn.attention.backends import attend
from gigakit.registry import ATTENTIONS


@ATTENTIONS.register_module()
class FullAttention(nn.Module):
    """Softmax attention over the whole sequence.

    Formula: ``softmax(q k^T / sqrt(D)) v``, cost ``4 L² H D`` FLOPs.

    Args:
        backend: ``auto``, ``math``, ``sdpa`` or ``flash``; changes speed and memory, not results.

    Source: Vaswani et al. 2017, section 3.2.1.
    """

    def __init__(self, *, backend: str = "auto") -> None:
        super().__init__()
        self.backend = backend

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, *, key_padding_mask: Tensor | None = None
    ) -> Tensor:
        """Attend.

        Args:
            q: queries ``(B, L, H, D)``.
            k: keys ``(B, L, H, D)``.
            v: values ``(B, L, H, D)``.
            key_padding_mask: ``(B, L)`` bool, True = padding.

        Returns:
            ``(B, L, H, D)``, zero at padding.
        """
        return attend(q, k, v, backend=self.backend, key_padding_mask=key_padding_mask)

    def flops(self, length: int, heads: int, head_dim: int) -> int:
        """Return the FLOPs of one forward over ``length`` tokens, 2 per multiply-add."""
        return 4 * length * length * heads * head_dim

    def describe(self, length: int) -> str:
        """Say what the variant does on ``length`` tokens."""
        return f"full attention over {length} tokens"
