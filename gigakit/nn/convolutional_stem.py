"""Patches seen through convolutions, for networks that must learn texture from few tiles.

Shapes: B images, P patches of p x p px, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gigakit.core.errors import ConfigError


class ConvolutionalStem(nn.Module):
    """Embed patches by 3 x 3 convolutions instead of one linear layer of their pixels.

    The first convolution sees every pixel, those after it halve the sides until a pixel is a patch,
    doubling the channels up to D, each followed by a GELU; a 1 x 1 convolution is the end. Without
    normalisation, so that images of a batch do not depend on each other.

    A patch's embedding depends on ``p - 1`` px around it too: masking a patch leaves a trace in its
    neighbours.

    Args:
        patch_size: p, a power of two.
        width: D.
        channels: of the first convolution, and at least of all.

    Raises:
        ConfigError: the patch size is not a power of two.

    Source: Xiao et al. 2021, "Early convolutions help transformers see better".
    Differs: no batch normalisation, GELU for ReLU, and a first convolution at full resolution,
        since patterns of tissue are as fine as pixels.
    """

    def __init__(self, patch_size: int, width: int, *, channels: int = 16) -> None:
        super().__init__()
        halvings = patch_size.bit_length() - 1
        if patch_size != 2**halvings:
            raise ConfigError(
                f"patch_size {patch_size}",
                where="VisionTransformer.stem",
                fix="a convolutional stem halves; choose 8, 16 or 32, or the linear stem",
            )
        widths = [channels, *(max(width >> left, channels) for left in range(halvings, 0, -1))]
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(zip([3, *widths], widths, strict=False)):
            convolution = nn.Conv2d(before, after, 3, stride=2 if index else 1, padding=1)
            nn.init.kaiming_normal_(convolution.weight)
            layers += [convolution, nn.GELU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], width, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return the patches ``(B, P, D)`` of images ``(B, 3, h, w)``."""
        # a third less time on CPUs, and tokens come out in a row
        given = images.contiguous(memory_format=torch.channels_last)
        patches: Tensor = self.layers(given).flatten(2).transpose(1, 2)
        return patches
