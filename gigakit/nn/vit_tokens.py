"""What a vision transformer returns of a batch of images, and where in a sequence it stands.

Shapes: n images of 1 + R + P tokens: cls, R registers, P patches; D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gigakit.nn.crop_groups import Groups


@dataclass(frozen=True)
class VitTokens:
    """Tokens after the final norm, of n images.

    Attributes:
        cls: ``(n, D)``.
        registers: ``(n, R, D)``; R may be 0, and is where single patches were asked for.
        patches: ``(n, P, D)``, row by row of the grid; or ``(M, D)``, those that were asked for.
    """

    cls: Tensor
    registers: Tensor
    patches: Tensor


def read_rows(groups: Groups, read: Sequence[Tensor | None], first: int) -> list[Tensor]:
    """Return the rows of each group in the packed sequence: its cls tokens, then its patches.

    Args:
        groups: images and tokens of each group.
        read: of each, places ``(M,)`` of patches in ``(n P,)``; ``None`` for all.
        first: the place of an image's first patch, 1 + R.
    """
    device = next((places.device for places in read if places is not None), None)
    rows, start = [], 0
    for (images, tokens), places in zip(groups, read, strict=True):
        patches = tokens - first
        if places is None:
            places = torch.arange(images * patches, device=device)  # noqa: PLW2901
        cls = torch.arange(start, start + images * tokens, tokens, device=device)
        rows.append(torch.cat([cls, cls[places // patches] + first + places % patches]))
        start += images * tokens
    return rows


def tokens_of_rows(
    kept: Tensor, rows: Sequence[Tensor], groups: Groups, read: Sequence[Tensor | None]
) -> list[VitTokens]:
    """Return the tokens of each group from those of its rows.

    Args:
        kept: ``(rows of all groups, D)``.
        rows: what :func:`read_rows` returned.
        groups: as there.
        read: as there.
    """
    found = []
    parts = kept.split_with_sizes([len(row) for row in rows])
    for part, (images, _), places in zip(parts, groups, read, strict=True):
        cls, patches = part.split_with_sizes([images, len(part) - images])
        if places is None:
            patches = torch.unflatten(patches, 0, (images, -1))
        found.append(VitTokens(cls, cls.new_empty(images, 0, cls.shape[-1]), patches))
    return found
