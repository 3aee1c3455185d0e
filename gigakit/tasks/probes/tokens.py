"""What a probe takes of a tile encoder's tokens.

Shapes: B tiles, P patches, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gigakit.core.errors import ConfigError

KINDS = ("cls", "cls+mean")


def probe_input(cls: Sequence[Tensor], patches: Tensor | None = None) -> Tensor:
    """Return the cls tokens side by side and, with patches, their mean at the end.

    Args:
        cls: ``(B, D)`` of the last one or several blocks, first block first.
        patches: ``(B, P, D)`` of the last block.

    Source: DINOv2, eval/linear.py (``create_linear_input``).
    """
    mean = [] if patches is None else [patches.mean(dim=1)]
    return torch.cat([*cls, *mean], dim=-1)


def cls_and_patches(encoder: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cls token ``(B, D)`` and the patch tokens ``(B, P, D)`` after the final norm.

    Args:
        encoder: one with ``forward_views``, or with ``tokens`` of which the first is cls.
        images: ``(B, 3, S, S)``, normalised.

    Raises:
        ConfigError: it shows its patch tokens in neither way.
    """
    of_views: Any = getattr(encoder, "forward_views", None)
    if of_views is not None:
        (views,) = of_views([images], [None])
        return views.cls, views.patches
    of_images: Any = getattr(encoder, "tokens", None)
    if of_images is None:
        raise ConfigError(
            "has neither forward_views nor tokens",
            where=type(encoder).__name__,
            fix="probe it with --tokens cls",
        )
    tokens = of_images(images)
    return tokens[:, 0], tokens[:, 1:]
