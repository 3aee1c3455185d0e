"""A frozen tile encoder, as probes use it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from gigakit.core.errors import ConfigError
from gigakit.data.augmentations.evaluation_transform import EvaluationTransform
from gigakit.nn.weights import encoder_of
from gigakit.registry import BACKBONES
from gigakit.tasks.inference import build_encoder, choose_device, choose_precision, inference
from gigakit.tasks.probes.encoder_choice import EncoderChoice, encoder_tensors
from gigakit.tasks.probes.tokens import KINDS, cls_and_patches, probe_input

_IMAGE_SIZE = 224


class TileEncoder(Protocol):
    """What turns tiles into vectors."""

    name: str

    def embed(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        """Return ``(B, D)`` float32 of tiles ``(H, W, 3)`` uint8 RGB."""
        ...


class FrozenEncoder:
    """A network with its weights.

    Tiles are resized so that their shorter side is the encoder's input, and their centre is taken,
    as in eva's protocol.

    Args:
        choice: which.
        tokens: ``cls``, or ``cls+mean`` to append the mean patch token.
        device: such as ``cuda:1``; ``None`` takes the best there is.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``auto``.
        enlarge: tiles smaller than the encoder's input are enlarged instead of refused.
        seed: of an encoder without weights.
        input_px: side of the input; by default the choice's, else the encoder's ``image_size``.

    Raises:
        ConfigError: there is no such device, precision or kind of tokens.
        CheckpointError: the weights are missing, damaged, or do not fit.
    """

    def __init__(
        self,
        choice: EncoderChoice,
        *,
        tokens: str = "cls",
        device: str | None = None,
        precision: str = "auto",
        enlarge: bool = False,
        seed: int = 0,
        input_px: int | None = None,
    ) -> None:
        if tokens not in KINDS:
            raise ConfigError(f"got '{tokens}'", where="tokens", fix=f"choose {' or '.join(KINDS)}")
        self.name = choice.name
        self.tokens, self.enlarge = tokens, enlarge
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        self.encoder = _built(choice, seed, self.device)
        own = getattr(self.encoder, "image_size", _IMAGE_SIZE)
        self.input_px = int(input_px or choice.input_px or own)
        self._transform = EvaluationTransform(
            resize_px=self.input_px,
            crop_px=self.input_px,
            mean=choice.mean,
            deviation=choice.deviation,
        )

    def embed(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        """Return ``(B, D)`` float32, or ``(B, 2 D)`` with the mean patch token.

        Raises:
            ConfigError: a tile is smaller than the encoder's input.
        """
        images = self._images(pixels)
        with inference(self.device, self.precision, keep_memory=True):
            if self.tokens == "cls":
                found = probe_input([self.encoder(images)])
            else:
                cls, patches = cls_and_patches(self.encoder, images)
                found = probe_input([cls], patches)
            return found.float().cpu().numpy()

    def patches(self, pixels: Sequence[np.ndarray]) -> np.ndarray:
        """Return the patch tokens ``(B, P, D)`` float32, row by row of the tile.

        Raises:
            ConfigError: a tile is smaller than the encoder's input, or there are no patch tokens.
        """
        images = self._images(pixels)
        with inference(self.device, self.precision):
            _, patches = cls_and_patches(self.encoder, images)
            return patches.float().cpu().numpy()

    @property
    def shows_patches(self) -> bool:
        """Whether there are patch tokens, in a square."""
        return hasattr(self.encoder, "forward_views") or hasattr(self.encoder, "tokens")

    def seen(self, tile: np.ndarray) -> np.ndarray:
        """Return a tile as the encoder sees it, ``(S, S, 3)`` uint8 RGB."""
        image = self._transform(tile) * self._transform.deviation + self._transform.mean
        seen: np.ndarray = (image * 255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
        return seen

    def _images(self, pixels: Sequence[np.ndarray]) -> Tensor:
        for tile in pixels:
            if min(tile.shape[:2]) < self.input_px and not self.enlarge:
                raise ConfigError(
                    f"a tile has {tile.shape[1]} x {tile.shape[0]} px, "
                    f"the encoder takes {self.input_px}",
                    where=self.name,
                    fix="give larger tiles, or --enlarge to enlarge them",
                )
        return torch.stack([self._transform(tile) for tile in pixels]).to(self.device)


def _built(choice: EncoderChoice, seed: int, device: torch.device) -> nn.Module:
    if choice.read is None or choice.weights is None:
        return build_encoder(choice.config, None, seed=seed, device=device)
    state = encoder_tensors(choice.read(), choice.weights)
    build: Any = functools.partial(BACKBONES.build, choice.config)
    encoder = encoder_of(build, state, choice.weights)
    return encoder.to(device).eval().requires_grad_(requires_grad=False)
