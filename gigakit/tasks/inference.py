"""What frozen encoders share: a device, a precision, their weights, and signs of life."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gigakit.core.errors import ConfigError
from gigakit.core.heap import keep_freed_blocks, return_large_blocks
from gigakit.nn.weights import load_encoder
from gigakit.registry import BACKBONES

Announce = Callable[[str], None]

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_INTERVAL_SECONDS = 15.0


def choose_device(name: str | None) -> torch.device:
    """Return the device named, or the best there is: CUDA, MPS, CPU.

    Raises:
        ConfigError: torch does not know it, or it is not there.
    """
    if name is None:
        best = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device("mps" if torch.backends.mps.is_available() else best)
    try:
        device = torch.device(name)
        # the first use tells whether it is there
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        cause = (str(error).splitlines() or [""])[0]
        raise ConfigError(f"cannot be used: {cause}", where=f"device {name}") from error
    return device


def choose_precision(name: str, device: torch.device) -> str:
    """Return ``fp32``, ``bf16`` or ``fp16``; ``auto`` is fp16 on CUDA, else fp32.

    Raises:
        ConfigError: an unknown precision.
    """
    if name == "auto":
        return "fp16" if device.type == "cuda" else "fp32"
    if name not in ("fp32", *_DTYPES):
        raise ConfigError(f"is '{name}'", where="precision", fix="choose auto, fp32, bf16 or fp16")
    return name


@contextlib.contextmanager
def inference(device: torch.device, precision: str, *, keep_memory: bool = False) -> Iterator[None]:
    """Compute without gradients, matrix products in a precision of :func:`choose_precision`.

    Args:
        device: where the network lies.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        keep_memory: whether freed tensors serve the next call, for calls of one shape on a CPU.
    """
    if keep_memory and device.type == "cpu":
        keep_freed_blocks()
    else:
        return_large_blocks()
    dtype = _DTYPES.get(precision)
    cast = torch.autocast(device.type, dtype) if dtype else contextlib.nullcontext()
    with torch.inference_mode(), cast:
        yield


def build_encoder(
    config: Mapping[str, Any], weights: Path | None, *, seed: int, device: torch.device
) -> nn.Module:
    """Build a frozen encoder with its weights, or seeded where there are none.

    Raises:
        CheckpointError: the file is missing, damaged, or does not fit.
    """
    if weights is not None:
        encoder = load_encoder(functools.partial(BACKBONES.build, config), weights)
    else:
        # a seeded network must not depend on, or disturb, the global generator
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            encoder = BACKBONES.build(config)
    return encoder.to(device).eval().requires_grad_(requires_grad=False)


def check_weights(config: Mapping[str, Any], weights: Path | None) -> None:
    """Refuse weights that do not fit, before hours of work that needs them; little is read.

    Raises:
        CheckpointError: the file is missing, damaged, or does not fit.
    """
    if weights is not None:
        load_encoder(functools.partial(BACKBONES.build, config), weights)


class Progress:
    """Says now and then how far a long slide is.

    Args:
        announce: receives the lines.
        slide_id: the slide.
        tiles: how many it has.
        done: how many were done before.
    """

    def __init__(self, announce: Announce, slide_id: str, tiles: int, done: int = 0) -> None:
        self._announce, self._slide_id, self._tiles = announce, slide_id, tiles
        self._done = self._before = done
        self._begin = self._last = time.monotonic()

    def advance(self, tiles: int) -> None:
        """Count tiles that are done."""
        self._done += tiles
        now = time.monotonic()
        if now - self._last < _INTERVAL_SECONDS or self._done == self._tiles:
            return
        self._last = now
        seconds = (now - self._begin) / (self._done - self._before)
        left = seconds * (self._tiles - self._done) / 60
        self._announce(
            f"{self._slide_id}: {self._done} of {self._tiles} tiles, {seconds:.2g} s a tile, "
            f"{left:.0f} min left"
        )
