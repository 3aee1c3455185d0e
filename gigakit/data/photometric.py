"""What photometric operations share: who is changed, and how rows of a batch are changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from gigakit.core.errors import ConfigError

# weights of red, green and blue in grey, ITU-R BT.601
GREY = (0.299, 0.587, 0.114)
# a CPU takes views of so many values one by one, while they are in its cache, and smaller ones in
# groups of so many values, since each call has a cost of its own
_LARGE_VIEW, _GROUP = 100_000, 1_000_000
_KINDS_OF_CROP = 3


class Photometric(Protocol):
    """Changes the colours of a batch of views, each by parameters drawn for it.

    Parameters are drawn and kept on the host, so that which views change is known there, and no
    step waits for the device.
    """

    def draw(self, generator: np.random.Generator, crops: int, global_crops: int = 2) -> np.ndarray:
        """Return ``(crops, P)`` float32: the parameters of one image's views, global ones first."""
        ...

    def apply(self, images: Tensor, parameters: Tensor) -> Tensor:
        """Return ``images`` ``(N, 3, H, W)`` float in 0 ... 255, changed in place where drawn.

        Args:
            images: on any device.
            parameters: ``(N, P)`` float32 on the host.
        """
        ...


class Chance:
    """How probable it is that an operation changes a view.

    Args:
        p: for all views, or for each of: first global view, further global views, local views.
        where: the component, for errors.

    Raises:
        ConfigError: a probability outside [0, 1], or another number of them.
    """

    def __init__(self, p: float | Sequence[float], where: str) -> None:
        given = [p] * _KINDS_OF_CROP if isinstance(p, int | float) else list(p)
        if len(given) != _KINDS_OF_CROP or not all(0.0 <= one <= 1.0 for one in given):
            raise ConfigError(
                f"got {p}",
                where=f"{where}.p",
                fix="give one probability, or three: first global, further global, local views",
            )
        self.p = given

    def draw(self, generator: np.random.Generator, crops: int, global_crops: int) -> np.ndarray:
        """Return ``(crops,)`` bool, True = changed."""
        order = np.arange(crops)
        kind = np.where(order >= global_crops, 2, np.minimum(order, 1))
        return generator.random(crops) < np.asarray(self.p)[kind]


def with_flag(changed: np.ndarray, *columns: np.ndarray) -> np.ndarray:
    """Return ``(crops, 1 + P)`` float32: whether a view is changed, then its other parameters."""
    return np.column_stack([changed, *columns]).astype(np.float32)


def change_rows(images: Tensor, rows: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Change some rows of a batch in place; the others are not touched.

    On a CPU the rows are taken in groups that stay in its cache.

    Args:
        images: ``(N, 3, H, W)``.
        rows: ``(n,)`` int64 on the host.
        change: from rows' images, which it may change or use up, and their indices on the host, to
            the rows' new images.
    """
    for part in _parts(images, rows):
        if len(part) == 1:
            # in its place, with nothing gathered
            view = images.narrow(0, int(part), 1)
            changed = change(view, part)
            if changed is not view:
                view.copy_(changed)
        else:
            index = part.to(images.device, non_blocking=True)
            images.index_copy_(0, index, change(images.index_select(0, index), part))


def chosen(parameters: Tensor) -> Tensor:
    """Return the indices of the rows whose first parameter is set, ``(n,)`` int64."""
    return torch.nonzero(parameters[:, 0]).flatten()


def per_image(values: Tensor, images: Tensor) -> Tensor:
    """Return one number per row ``(n,)`` as ``(n, 1, 1, 1)`` on the images' device."""
    return values.to(images, non_blocking=True).view(-1, 1, 1, 1)


def grey_of(images: Tensor) -> Tensor:
    """Return the luma ``0.299 R + 0.587 G + 0.114 B`` of ``(N, 3, H, W)`` as ``(N, 1, H, W)``."""
    red, green, blue = images.chunk(3, dim=1)
    return (red * GREY[0]).add_(green, alpha=GREY[1]).add_(blue, alpha=GREY[2])


def _parts(images: Tensor, rows: Tensor) -> Iterator[Tensor]:
    if not len(rows):
        return
    at_once = len(rows)
    if images.device.type == "cpu":
        values = images[0].numel()
        at_once = 1 if values >= _LARGE_VIEW else _GROUP // values
    yield from torch.split(rows, at_once)
