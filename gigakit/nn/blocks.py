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

_TOKENS_AT_ONCE = 8192
# packed slides' lengths, or how slides lie over processes
Layout = list[int] | TokenSplit


class DropPath(nn.Module):
    """Drop a residual branch of whole samples with probability ``rate`` (stochastic depth).

    Source: Huang et al. 2016; surviving samples are scaled by ``1 / (1 - rate)``.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor, layout: Layout | None = None) -> Tensor:
        """Return ``x`` with some samples of the batch set to zero, in training.

        Each slide of a packed batch is a sample. All processes that hold parts of a sample drop it
        together.
        """
        if not self.training or self.rate == 0.0:
            return x
        if isinstance(layout, list):
            slides = torch.rand(len(layout), device=x.device) >= self.rate
            keep = slides.repeat_interleave(torch.tensor(layout, device=x.device))[None, :, None]
        else:
            keep = torch.rand(x.shape[0], *[1] * (x.dim() - 1), device=x.device) >= self.rate
        if isinstance(layout, TokenSplit):
            keep = layout.agreed(keep)
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
        self, x: Tensor, key_padding_mask: Tensor | None = None, layout: Layout | None = None
    ) -> Tensor:
        """Attend within each slide; see :class:`LongNetBlock`.

        Raises:
            ConfigError: slides lie on several processes, and the variant needs whole ones.
        """
        # no name holds queries, keys and values, so they go as soon as attention returns
        projected = (
            projection(x).unflatten(-1, (self.heads, -1))
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        if isinstance(layout, list):
            slides = zip(*(part.split_with_sizes(layout, dim=1) for part in projected), strict=True)
            merged = torch.cat([self.attention(*slide) for slide in slides], dim=1)
        else:
            merged = self.attention(*projected, **self._given(key_padding_mask, layout))
        out: Tensor = self.out_proj(self.inner_attn_ln(merged.flatten(-2)))
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
        """Transform ``(B, T, D)``; GELU is evaluated in at least float32.

        Without gradients, long sequences go through in pieces: the hidden layer of 70,122 tokens
        would be 0.86 GB, held three times over.
        """
        if torch.is_grad_enabled() or x.shape[1] <= _TOKENS_AT_ONCE:
            return self._transform(x)
        pieces = torch.split(x, _TOKENS_AT_ONCE, dim=1)
        return torch.cat([self._transform(piece) for piece in pieces], dim=1)

    def _transform(self, x: Tensor) -> Tensor:
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
        self, x: Tensor, key_padding_mask: Tensor | None = None, layout: Layout | None = None
    ) -> Tensor:
        """Transform tokens.

        Args:
            x: ``(B, T, D)``, or slides packed one after another, ``(1, N, D)``.
            key_padding_mask: ``(B, T)`` bool, True = padding; a packed batch has none.
            layout: tokens of each slide of a packed batch; or how slides lie over processes, of
                whose tokens these are this one's.
        """
        attended = self.self_attn(self.self_attn_layer_norm(x), key_padding_mask, layout)
        x = x + self.drop_path(self.dropout(attended), layout)
        fed = self.dropout(self.ffn(self.final_layer_norm(x)))
        out: Tensor = x + self.drop_path(fed, layout)
        return out


def initialise(module: nn.Module) -> None:
    """Initialise as published: Xavier-uniform weights, zero biases, unit layer norms."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
