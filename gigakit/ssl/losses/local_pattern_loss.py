"""Predicting the texture of patches: how often each local binary pattern occurs in them.

Shapes: N images of h x w px, P patches of p x p px, K numbers a patch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gigakit.core.errors import ConfigError
from gigakit.registry import LOSSES
from gigakit.ssl.precision import at_least_float32
from gigakit.ssl.ranks import summed

# ITU-R BT.601, as OpenCV's grey
_GREY = (0.299, 0.587, 0.114)
# grey levels of 255 that still count as equal: interpolating equal ones is not exact
_EQUAL = 0.01
# images at a time: their maps stay in a CPU's cache
_AT_ONCE = 2
# added to a share's deviation, so that patterns hardly ever seen do not rule
_LEAST_DEVIATION = 0.01


@LOSSES.register_module()
class LocalPatternLoss(nn.Module):
    """Mean squared error of predicted shares of local binary patterns, each share standardised.

    A pixel's pattern says which of the points on a circle around it are at least as bright; with at
    most two changes around the circle it is told by how many are, all others are one pattern. It
    does not change with rotation, nor with the brightness or contrast of the stain. A patch is
    described by each pattern's share of its pixels, K numbers over all radii.

    Shares differ in size by orders of magnitude, so each is measured in deviations from its mean
    over all patches of all processes that were seen so far, this batch included.

    Args:
        radii: of the circles, in px; a circle of radius r has 8 r points.

    Raises:
        ConfigError: no radius, or one below 1.

    Source: Ojala et al. 2002, equation 10 (patterns); Wei et al. 2022, "Masked feature prediction"
        (hand-made descriptors as targets; theirs are gradients' histograms, of masked patches).
    """

    count: Tensor
    total: Tensor
    squares: Tensor

    def __init__(self, *, radii: Sequence[int] = (1, 2, 3)) -> None:
        super().__init__()
        if not radii or min(radii) < 1:
            raise ConfigError(
                f"radii {list(radii)}", where="LocalPatternLoss", fix="give 1 px and more"
            )
        self.radii = tuple(radii)
        self.outputs = sum(8 * radius + 2 for radius in self.radii)
        for radius in self.radii:
            self.register_buffer(f"circle_{radius}", _circle(radius), persistent=False)
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("total", torch.zeros(self.outputs, dtype=torch.float64))
        self.register_buffer("squares", torch.zeros(self.outputs, dtype=torch.float64))

    def forward(self, predictions: Tensor, pixels: Tensor) -> Tensor:
        """Return the loss, and in training count these images' patches.

        Args:
            predictions: ``(N, P, K)``.
            pixels: ``(N, 3, h, w)`` RGB in 0 ... 255, square, of P patches.
        """
        side = pixels.shape[-1] // math.isqrt(predictions.shape[1])
        shares = self.shares(pixels, side)
        if self.training:
            self._count(shares)
        mean = self.total / self.count
        deviation = (self.squares / self.count - mean.square()).clamp(min=0).sqrt()
        standardised = (shares - mean) / (deviation + _LEAST_DEVIATION)
        predicted = at_least_float32(predictions)
        return functional.mse_loss(predicted, standardised.to(predicted.dtype))

    @torch.no_grad()
    def shares(self, pixels: Tensor, patch_size: int) -> Tensor:
        """Return each pattern's share of the pixels of each patch, ``(N, P, K)`` float32.

        Args:
            pixels: ``(N, 3, h, w)`` RGB in 0 ... 255.
            patch_size: p.
        """
        with torch.autocast(pixels.device.type, enabled=False):
            weights = torch.tensor(_GREY, device=pixels.device).view(1, 3, 1, 1)
            grey = (pixels.float() * weights).sum(dim=1, keepdim=True).round()
            found = [
                torch.cat(
                    [
                        self._shares(grey[start : start + _AT_ONCE], radius, patch_size)
                        for start in range(0, len(grey), _AT_ONCE)
                    ]
                )
                for radius in self.radii
            ]
        return torch.cat(found, dim=-1)

    def _shares(self, grey: Tensor, radius: int, patch_size: int) -> Tensor:
        points = 8 * radius
        padded = functional.pad(grey, (radius + 1,) * 4, mode="reflect")
        brighter = functional.conv2d(padded, getattr(self, f"circle_{radius}")) >= -_EQUAL
        count = brighter.sum(dim=1, dtype=torch.uint8)
        changes = (brighter ^ brighter.roll(1, dims=1)).sum(dim=1, dtype=torch.uint8)
        patterns = torch.where(changes <= 2, count, points + 1)  # noqa: PLR2004
        rows = patterns.unfold(1, patch_size, patch_size).unfold(2, patch_size, patch_size)
        rows = rows.flatten(3).flatten(0, 2).long()
        places = torch.arange(len(rows), device=rows.device).unsqueeze(1) * (points + 2)
        counted = torch.bincount((rows + places).flatten(), minlength=len(rows) * (points + 2))
        return counted.view(len(grey), -1, points + 2) / patch_size**2

    def _count(self, shares: Tensor) -> None:
        rows = shares.flatten(0, 1).double()
        seen = summed(torch.cat([rows.sum(0), rows.square().sum(0), rows.new_tensor([len(rows)])]))
        self.total += seen[: self.outputs]
        self.squares += seen[self.outputs : -1]
        self.count += seen[-1]


def _circle(radius: int) -> Tensor:
    """Return filters ``(points, 1, s, s)``: a point of the circle, bilinearly, minus the middle."""
    points, middle = 8 * radius, radius + 1
    filters = torch.zeros(points, 1, 2 * middle + 1, 2 * middle + 1)
    for point in range(points):
        angle = 2 * math.pi * point / points
        down, right = round(-radius * math.sin(angle), 5), round(radius * math.cos(angle), 5)
        top, left = math.floor(down), math.floor(right)
        for row, share_row in ((0, 1 - down + top), (1, down - top)):
            for column, share_column in ((0, 1 - right + left), (1, right - left)):
                if share_row * share_column:
                    place = (middle + top + row, middle + left + column)
                    filters[(point, 0, *place)] += share_row * share_column
        filters[point, 0, middle, middle] -= 1
    return filters
