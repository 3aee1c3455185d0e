"""A frozen tile encoder at work: where, how precisely, how many tiles at once."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset

from gigakit.core.errors import ConfigError
from gigakit.core.heap import return_kept_blocks
from gigakit.data.datasets.slide_tiles import SlideTiles
from gigakit.data.prefetch import Stopwatch, prefetched, timed
from gigakit.registry import AUGMENTATIONS
from gigakit.tasks.inference import build_encoder, choose_device, choose_precision, inference


class TileModel:
    """A tile encoder, built in the process that uses it first.

    Args:
        config: from BACKBONES.
        transform: config from AUGMENTATIONS, from a tile's pixels to the encoder's input.
        weights: file of its weights; ``None`` leaves it as seeded.
        seed: seed of an encoder without weights.
        batch_size: tiles a forward pass.
        batch_tokens: tokens a forward pass instead.
        num_workers: processes that read and transform tiles; 0 takes a thread of this one.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``auto``.
        device: one or several, parted by commas; ``None`` takes the best there is.

    Raises:
        ConfigError: there is no such device or precision, or no tokens.

    Attributes:
        waited: how long the encoder waited for tiles.
    """

    def __init__(
        self,
        config: dict[str, Any],
        transform: dict[str, Any],
        *,
        weights: Path | None,
        seed: int,
        batch_size: int,
        batch_tokens: int | None,
        num_workers: int,
        precision: str,
        device: str | None,
    ) -> None:
        if batch_tokens is not None and batch_tokens < 1:
            raise ConfigError(f"got {batch_tokens}", where="batch_tokens", fix="give 1 or more")
        self.config, self.transform = config, transform
        self.weights, self.seed = weights, seed
        self.batch_size, self.batch_tokens = batch_size, batch_tokens
        self.num_workers = num_workers
        self.devices = [choose_device(name or None) for name in (device or "").split(",")]
        self.device = self.devices[0]
        if len({one.type for one in self.devices}) > 1:
            raise ConfigError(f"got {device}", where="device", fix="name devices of one kind")
        self.precision = choose_precision(precision, self.device)
        self.waited = Stopwatch()

    def batches(
        self, pixels: SlideTiles, begin: int = 0
    ) -> Generator[tuple[np.ndarray, np.ndarray]]:
        """Yield the embeddings ``(B, D)`` of a slide's tiles, in order, and which tiles are bad.

        Args:
            pixels: the tiles.
            begin: the first one wanted; a multiple of the batch size, so that batches are the same.
        """
        loader = DataLoader(
            Subset(pixels, range(begin, len(pixels))),
            batch_size=self.tiles_a_pass,
            num_workers=self.num_workers,
            pin_memory=self.device.type == "cuda",
            # without its own, a loader draws its workers' seed from the global generator
            generator=torch.Generator(),
        )
        # a loader with workers reads ahead by itself
        ahead = (batch for batch in loader) if self.num_workers else prefetched(iter(loader))
        with contextlib.closing(ahead), contextlib.ExitStack() as after:
            # what comes next, a slide encoder, has tensors of other sizes
            after.callback(return_kept_blocks)
            for tiles, bad in timed(ahead, self.waited):
                with inference(self.device, self.precision, keep_memory=True):
                    on_device = tiles.to(self.device, non_blocking=True)
                    embedded = self._encoder(on_device).float().cpu().numpy()
                embedded[bad.numpy()] = 0.0
                yield embedded, bad.numpy()

    def embed(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        """Return the embeddings ``(B, D)`` float32 of tiles ``(H, W, 3)`` uint8 RGB."""
        images = torch.stack([self._transform(tile) for tile in pixels])
        with inference(self.device, self.precision):
            embedded: np.ndarray = self._encoder(images.to(self.device)).float().cpu().numpy()
        return embedded

    @functools.cached_property
    def tiles_a_pass(self) -> int:
        """Tiles that are embedded at once.

        Raises:
            ConfigError: tokens are told, and the encoder does not tell how many a tile has.
        """
        if self.batch_tokens is None:
            return self.batch_size
        length = getattr(self._encoder, "sequence_length", None)
        if length is None:
            raise ConfigError(
                f"{self.config['type']} has no sequence_length",
                where="batch_tokens",
                fix="give batch_size instead",
            )
        return max(1, self.batch_tokens // int(length))

    def on_device(self, number: int) -> TileModel:
        """Return the model as the process of this number does it: on a device of its own."""
        model = copy.copy(self)
        model.device = self.devices[number % len(self.devices)]
        return model

    def untrained_encoder(self) -> nn.Module:
        """Return the encoder with seeded weights, which costs the same to run."""
        return build_encoder(self.config, None, seed=self.seed, device=self.device)

    @functools.cached_property
    def _transform(self) -> Any:
        return AUGMENTATIONS.build(dict(self.transform))

    @functools.cached_property
    def _encoder(self) -> nn.Module:
        return build_encoder(self.config, self.weights, seed=self.seed, device=self.device)
