"""Slides of one length in a padded batch."""

from __future__ import annotations

import torch
from torch import Tensor

from gigakit.core.errors import ConfigError


def runs_of_equal_length(key_padding_mask: Tensor, where: str) -> list[tuple[int, int, int]]:
    """Return runs of neighbouring slides of one length as (first, end, length).

    Args:
        key_padding_mask: ``(B, T)`` bool, True = padding, on the right.
        where: who asks, for the message.

    Raises:
        ConfigError: padding that is not on the right.
    """
    lengths = (~key_padding_mask).sum(dim=1)
    positions = torch.arange(key_padding_mask.shape[1], device=lengths.device)
    if not torch.equal(key_padding_mask, positions[None, :] >= lengths[:, None]):
        raise ConfigError("the padding of a batch must be on the right", where=where)
    found: list[tuple[int, int, int]] = []
    for row, length in enumerate(lengths.tolist()):
        if found and found[-1][2] == length:
            found[-1] = (found[-1][0], row + 1, length)
        else:
            found.append((row, row + 1, length))
    return found
