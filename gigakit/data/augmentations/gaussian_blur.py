"""Views out of focus."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gigakit.core.errors import ConfigError
from gigakit.data.crops import check_range
from gigakit.data.photometric import Chance, change_rows, chosen, with_flag
from gigakit.registry import AUGMENTATIONS


@AUGMENTATIONS.register_module()
class GaussianBlur:
    """Blur a view by a Gaussian of random width; borders are mirrored without their last pixel.

    Weights: ``exp(-i^2 / (2 sigma^2))`` for offsets ``i`` up to half the kernel, divided by their
    sum, on rows and on columns.

    The released DINOv2 blurs other views than it says: its class takes the probability of *not*
    blurring. ``p=(0, 0.9, 0.5)`` is what released models were trained with, and
    ``p=(1, 0.1, 0.5)`` what was meant.

    Args:
        kernel_px: side of the kernel in px, odd; DINOv2 9.
        sigma: least and largest width in px; DINOv2 (0.1, 2).
        p: probability per view, or one each for the first global, further global and local views.

    Raises:
        ConfigError: an even kernel, widths or probabilities that cannot be.

    Source: DINOv2's data augmentation, as released by default.
    """

    def __init__(
        self,
        *,
        kernel_px: int = 9,
        sigma: Sequence[float] = (0.1, 2.0),
        p: float | Sequence[float] = (0.0, 0.9, 0.5),
    ) -> None:
        if kernel_px < 1 or kernel_px % 2 == 0:
            raise ConfigError(
                f"got {kernel_px}", where="GaussianBlur.kernel_px", fix="give an odd number"
            )
        check_range(sigma, "GaussianBlur.sigma", low=0, high=float("inf"))
        self.kernel_px, self.sigma = kernel_px, sigma
        self.chance = Chance(p, "GaussianBlur")

    def draw(self, generator: np.random.Generator, crops: int, global_crops: int = 2) -> np.ndarray:
        """Return ``(crops, 2)``: whether a view is blurred, and its sigma in px."""
        changed = self.chance.draw(generator, crops, global_crops)
        return with_flag(changed, generator.uniform(self.sigma[0], self.sigma[1], crops))

    def apply(self, images: Tensor, parameters: Tensor) -> Tensor:
        """Blur the views drawn; see :class:`gigakit.data.photometric.Photometric`.

        Raises:
            ConfigError: views too small for the kernel.
        """
        if min(images.shape[2:]) <= self.kernel_px // 2:
            raise ConfigError(
                f"views of {images.shape[3]} x {images.shape[2]} px are too small for a kernel of "
                f"{self.kernel_px} px",
                where="GaussianBlur",
                fix="give a smaller kernel",
            )
        kernels = gaussian_kernels(parameters[:, 1], self.kernel_px)
        if images.device.type == "cpu" and images.dtype == torch.float32:
            for row in chosen(parameters).tolist():
                _blur_planes(images[row].numpy(), kernels[row].numpy())
        else:
            change_rows(
                images,
                chosen(parameters),
                lambda views, rows: blur(views, kernels[rows].to(views, non_blocking=True)),
            )
        return images


def gaussian_kernels(sigma: Tensor, kernel_px: int) -> Tensor:
    """Return ``(N, kernel_px)`` weights for widths ``(N,)`` in px."""
    offsets = torch.arange(kernel_px) - kernel_px // 2
    weights = torch.exp(-0.5 * (offsets / sigma[:, None]) ** 2)
    return weights / weights.sum(dim=1, keepdim=True)


def blur(views: Tensor, kernels: Tensor) -> Tensor:
    """Blur ``(N, 3, H, W)`` on any device, each view by its own weights ``(N, K)``."""
    count, channels, height, width = views.shape
    half = kernels.shape[1] // 2
    planes = views.reshape(1, count * channels, height, width)
    weights = kernels.repeat_interleave(channels, dim=0)
    padded = functional.pad(planes, (half, half, half, half), mode="reflect")
    rows = functional.conv2d(padded, weights[:, None, None, :], groups=count * channels)
    both = functional.conv2d(rows, weights[:, None, :, None], groups=count * channels)
    return both.view_as(views)


def _blur_planes(planes: np.ndarray, kernel: np.ndarray) -> None:
    """Blur ``(3, H, W)`` float32 in place; OpenCV is several times faster on a CPU."""
    for plane in planes:
        plane[:] = cv2.sepFilter2D(plane, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)
