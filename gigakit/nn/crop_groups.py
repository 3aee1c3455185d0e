"""Crops of several sizes packed into one sequence, so that layers run once over all their tokens.

A packed sequence is ``(1, T, D)``: the tokens of all samples of the first group, then those of the
second. A group is all crops of one size. Layers that treat tokens one by one need not know.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# samples, and tokens of each sample, of every group
Groups = tuple[tuple[int, int], ...]


def join_groups(parts: Sequence[Tensor]) -> Tensor:
    """Pack the groups' tokens, each ``(samples, tokens, D)``, into ``(1, T, D)``."""
    flat = [part.flatten(0, 1) for part in parts]
    # a single group needs no copy
    return (flat[0] if len(flat) == 1 else torch.cat(flat)).unsqueeze(0)


def split_groups(x: Tensor, groups: Groups) -> list[Tensor]:
    """Undo :func:`join_groups`; nothing is copied."""
    sizes = [samples * tokens for samples, tokens in groups]
    parts = x.squeeze(0).split_with_sizes(sizes)
    return [torch.unflatten(part, 0, group) for part, group in zip(parts, groups, strict=True)]
