"""From 8-bit crops to what an encoder sees: to the device, colours changed, normalised."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np
import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from gigakit.core.errors import ConfigError
from gigakit.core.seeding import random_generator
from gigakit.registry import AUGMENTATIONS, OBJECTIVES

_CROPS = ("global_crops", "local_crops")
_IMAGES = "images"
# a word that keeps these draws apart from others of the same seed
_COLOURS = 0x434F4C


class Photometric(Protocol):
    """What is needed of an operation; see ``gigakit.data.photometric.Photometric``."""

    def draw(self, generator: np.random.Generator, crops: int, global_crops: int = 2) -> np.ndarray:
        """Return ``(crops, P)`` float32: the parameters of one image's views."""
        ...

    def apply(self, images: Tensor, parameters: Tensor) -> Tensor:
        """Return ``(N, 3, H, W)`` float in 0 ... 255, changed by ``(N, P)`` on the host."""
        ...


@OBJECTIVES.register_module()
class TileViews(BaseDataPreprocessor):
    """Prepare batches of tiles on the device where the encoder is.

    Crops arrive as 8-bit numbers, a quarter of what floats take on the way. In training their
    colours are changed, a batch at a time; then ``(x / 255 - mean) / std``. Every parameter of an
    image follows from its own ``seed``, so it does not depend on the batch, the device or the rank.
    Everything else of a batch is moved to the device and stays as it is.

    DINOv2's photometric chain is ``ColorJitter``, ``RandomGrey``, ``GaussianBlur``, ``Solarize``
    with their defaults, in this order.

    Args:
        photometric: configs from AUGMENTATIONS of operations on batches, in order; none leaves the
            colours as they are.
        mean: per channel, subtracted after scaling; ImageNet's by default.
        std: per channel, divided by; ImageNet's by default.
        non_blocking: move batches without waiting, which takes pinned memory.

    Raises:
        ConfigError: a component that is no operation on batches, or a wrong count of channels.

    Source: DINOv2's data augmentation as released, which does the same per image on the host.
    """

    def __init__(
        self,
        *,
        photometric: Sequence[dict[str, Any]] = (),
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        non_blocking: bool = False,
    ) -> None:
        super().__init__(non_blocking)
        self.photometric: list[Photometric] = [
            AUGMENTATIONS.build(dict(operation)) for operation in photometric
        ]
        for operation in self.photometric:
            if not (hasattr(operation, "draw") and hasattr(operation, "apply")):
                raise ConfigError(
                    f"{type(operation).__name__} is no operation on batches",
                    where="TileViews.photometric",
                    fix="name such as ColorJitter; crops belong to the dataset's views",
                )
        for name, values in {"mean": mean, "std": std}.items():
            if len(values) != 3:  # noqa: PLR2004
                raise ConfigError(f"got {tuple(values)}", where=f"TileViews.{name}", fix="give 3")
        self.mean, self.std = tuple(mean), tuple(std)
        # factor and offset of one multiplication and one addition on 0 ... 255
        deviation, centre = np.asarray(std, np.float64), np.asarray(mean, np.float64)
        self._factor: Tensor
        self._offset: Tensor
        self._add_constant("_factor", 1 / (255 * deviation))
        self._add_constant("_offset", -centre / deviation)

    def _add_constant(self, name: str, values: np.ndarray) -> None:
        constant = torch.from_numpy(values.astype(np.float32)).view(3, 1, 1)
        self.register_buffer(name, constant, persistent=False)

    @property
    def device(self) -> torch.device:
        """Where batches go: where the constants are, whoever moved them."""
        return self._factor.device

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Return the batch on the device.

        Args:
            data: ``global_crops`` (V, B, 3, S, S) and ``local_crops`` (L, B, 3, s, s) uint8 with
                ``seed`` (B,), or ``images`` (B, 3, S, S) uint8; anything else passes through.
            training: change the colours of crops; images never change.

        Raises:
            ConfigError: the colours are to change, and the batch has no ``seed``.
        """
        parameters = self._draw(data) if training and self.photometric else []
        batch: dict[str, Any] = self.cast_data(data)  # type: ignore[assignment]
        # mmengine prepares batches under autocast, where matrix products would have 8 bits
        with torch.no_grad(), _without_autocast(self.device):
            self._prepare_all(batch, parameters)
        return batch

    def _prepare_all(self, batch: dict[str, Any], parameters: list[Tensor]) -> None:
        first = 0
        for name in _CROPS:
            crops = batch.get(name)
            if crops is None:
                continue
            rows = slice(first, first + len(crops))
            first += len(crops)
            batch[name] = self._prepare(crops, [drawn[rows] for drawn in parameters])
        if _IMAGES in batch:
            batch[_IMAGES] = self._prepare(batch[_IMAGES], [])

    def _draw(self, data: dict[str, Any]) -> list[Tensor]:
        """Return each operation's parameters, ``(V + L, B, P)`` on the host."""
        counts = [len(data[name]) if name in data else 0 for name in _CROPS]
        if not sum(counts):
            return []
        if "seed" not in data:
            raise ConfigError("a batch of crops needs seed", where="TileViews")
        drawn: list[list[np.ndarray]] = [[] for _ in self.photometric]
        for seed in torch.as_tensor(data["seed"]).tolist():
            generator = random_generator(seed, _COLOURS)
            for rows, operation in zip(drawn, self.photometric, strict=True):
                rows.append(operation.draw(generator, sum(counts), counts[0]))
        return [torch.from_numpy(np.stack(rows, axis=1)) for rows in drawn]

    def _prepare(self, images: Tensor, parameters: list[Tensor]) -> Tensor:
        """Return images ``(..., 3, H, W)`` uint8 as normalised float32."""
        views = images.float()
        if parameters and views.numel():
            flat = views.flatten(0, 1)
            for operation, drawn in zip(self.photometric, parameters, strict=True):
                flat = operation.apply(flat, drawn.flatten(0, 1))
            views = flat.view_as(views)
        return views.mul_(self._factor).add_(self._offset)


def _without_autocast(device: torch.device) -> AbstractContextManager[object]:
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
