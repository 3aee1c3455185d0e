"""The LongNet block, under the published names so that published weights load as they are.

Shapes: B slides, T tokens, D width, H heads.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gigakit.core.errors import ConfigError
from gigakit.nn.attention.sequence_parallel import TokenSplit


class DropPath(nn.Module):
    """Drop a residual branch of whole samples with probability ``rate`` (stochastic depth).

    Source: Huang et al. 2016; surviving samples are scaled by ``1 / (1 - rate)``.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor, split: TokenSplit | None = None) -> Tensor:
        """Return ``x`` with some samples of the batch set to zero, in training.

        All processes that hold parts of a sample drop it together.
        """
        if not self.training or self.rate == 0.0:
            return x
        keep = torch.rand(x.shape[0], *[1] * (x.dim() - 1), device=x.device) >= self.rate
        if split is not None:
            keep = split.agreed(keep)
        return x * (keep.to(x.dtype) / (1.0 - self.rate))


class SubLNAttention(nn.Module):
    """Query, key, value and output projections around an attention variant, with sub-LN."""

    def __init__(self, width: int, heads: int, attention: nn.Module) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError(f"width {width} is no multiple of {heads} heads", where="LongNet")
        self.heads = heads
        self.attention = attention
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.inner_attn_ln = nn.LayerNorm(width, eps=1e-5)

    def forward(
        self, x: Tensor, key_padding_mask: Tensor | None = None, split: TokenSplit | None = None
    ) -> Tensor:
        """Attend within ``(B, T, D)``, or where ``split`` is given within all processes' tokens.

        Raises:
            ConfigError: the attention variant needs whole slides.
        """
        q, k, v = (
            projection(x).unflatten(-1, (self.heads, -1))
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        merged = self.attention(q, k, v, **self._given(key_padding_mask, split)).flatten(-2)
        out: Tensor = self.out_proj(self.inner_attn_ln(merged))
        return out

    def _given(self, key_padding_mask: Tensor | None, split: TokenSplit | None) -> dict[str, Any]:
        if split is None:
            return {"key_padding_mask": key_padding_mask}
        if not getattr(self.attention, "takes_split", False):
            raise ConfigError(
                f"{type(self.attention).__name__} needs whole slides, not parts on each process",
                where="sequence_parallel",
                fix="choose DilatedAttention; with one segment as long as the slide it is full",
            )
        return {"key_padding_mask": key_padding_mask, "split": split}


class SubLNFeedForward(nn.Module):
    """Two linear layers with GELU and sub-LN over the hidden width."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.ffn_layernorm = nn.LayerNorm(hidden, eps=1e-5)

    def forward(self, x: Tensor) -> Tensor:
        """Transform ``(B, T, D)``; GELU is evaluated in at least float32."""
        hidden = self.fc1(x)
        precise = hidden if hidden.dtype == torch.float64 else hidden.float()
        hidden = functional.gelu(precise).to(hidden.dtype)
        out: Tensor = self.fc2(self.ffn_layernorm(hidden))
        return out


class LongNetBlock(nn.Module):
    """One pre-norm block: attention and feed-forward, each with sub-LN, dropout and drop path.

    Args:
        width: D.
        heads: H.
        hidden: width of the feed-forward.
        attention: an attention variant; blocks may share it, since it has no parameters.
        dropout: after attention and after feed-forward.
        drop_path: probability that a residual branch of a slide is dropped.

    Source: torchscale's encoder layer as Prov-GigaPath uses it.
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        hidden: int,
        attention: nn.Module,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.self_attn = SubLNAttention(width, heads, attention)
        self.self_attn_layer_norm = nn.LayerNorm(width, eps=1e-5)
        self.ffn = SubLNFeedForward(width, hidden)
        self.final_layer_norm = nn.LayerNorm(width, eps=1e-5)
        self.dropout = nn.Dropout(dropout)
        self.drop_path = DropPath(drop_path)

    def forward(
        self, x: Tensor, key_padding_mask: Tensor | None = None, split: TokenSplit | None = None
    ) -> Tensor:
        """Transform tokens.

        Args:
            x: ``(B, T, D)``.
            key_padding_mask: ``(B, T)`` with True at padding.
            split: how slides lie over processes, of whose tokens these are this one's.
        """
        attended = self.self_attn(self.self_attn_layer_norm(x), key_padding_mask, split)
        x = x + self.drop_path(self.dropout(attended), split)
        fed = self.dropout(self.ffn(self.final_layer_norm(x)))
        out: Tensor = x + self.drop_path(fed, split)
        return out


def initialise(module: nn.Module) -> None:
    """Initialise as published: Xavier-uniform weights, zero biases, unit layer norms."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
