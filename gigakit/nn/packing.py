"""Slides packed one after another into one sequence, so that nothing is computed for padding.

A packed batch is ``(1, N, D)`` with N the tokens of all its slides, and ``lengths`` the tokens of
each. Layers that treat tokens one by one need not know; what mixes tokens works slide by slide.
"""

from __future__ import annotations

import torch
from torch import Tensor


def prepend(token: Tensor, x: Tensor, lengths: list[int] | None = None) -> Tensor:
    """Put a token before each slide.

    Args:
        token: ``(1, 1, D)`` for all slides, or each slide's own ``(slides, 1, D)``.
        x: ``(B, L, D)``, or packed ``(1, N, D)``.
        lengths: tokens of each slide of a packed batch.

    Returns:
        ``(B, 1 + L, D)``, or packed ``(1, N + slides, D)``.
    """
    token = token.to(x.dtype)
    if lengths is None:
        return torch.cat([token.expand(len(x), -1, -1), x], dim=1)
    tokens = token.expand(len(lengths), -1, -1).split_with_sizes([1] * len(lengths))
    pairs = zip(tokens, x.split_with_sizes(lengths, dim=1), strict=True)
    return torch.cat([part for pair in pairs for part in pair], dim=1)


def with_cls(lengths: list[int]) -> list[int]:
    """Return the lengths of slides that have got their cls token."""
    return [length + 1 for length in lengths]


def first_tokens(x: Tensor, lengths: list[int] | None = None) -> Tensor:
    """Return the first token of each slide, ``(slides, 1, D)``, of what :func:`prepend` returns.

    Args:
        x: ``(B, T, D)``, or packed ``(1, N, D)``.
        lengths: tokens of each slide of a packed batch, the first one included.
    """
    if lengths is None:
        return x[:, :1]
    return torch.cat([slide[:, :1] for slide in x.split_with_sizes(lengths, dim=1)])


def without_first(x: Tensor, lengths: list[int] | None = None) -> Tensor:
    """Undo :func:`prepend`; ``lengths`` count the token."""
    if lengths is None:
        return x[:, 1:]
    return torch.cat([slide[:, 1:] for slide in x.split_with_sizes(lengths, dim=1)], dim=1)
