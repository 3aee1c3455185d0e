"""An encoder that ships with gigakit: its file, what it was made for, what may be said of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from gigakit import __version__
from gigakit.core.assets import own_encoders
from gigakit.core.errors import CheckpointError, ConfigError
from gigakit.nn.weights import write_safetensors

_PRETRAINING_ONLY = "mask_token"


@dataclass(frozen=True)
class OwnEncoder:
    """What the metadata of an own encoder's file tells.

    Attributes:
        name: of the file.
        encoder: config from BACKBONES.
        transform: config from AUGMENTATIONS of the tiles that it was made for.
        trained_on: such as ``12,345 tiles of 30 slides (TCGA, CC0)``; ends a sentence.
    """

    name: str
    encoder: dict[str, Any]
    transform: dict[str, Any]
    trained_on: str

    @property
    def note(self) -> str:
        """What a run's banner says of it."""
        return (
            f"the tile encoder is gigakit's own small one ({self.name}), trained on "
            f"{self.trained_on}; not a pathology foundation model"
        )

    def check(self, encoder: Mapping[str, Any], transform: Mapping[str, Any]) -> None:
        """Refuse an encoder or tiles that its weights were not made for.

        Strict loading cannot see all: heads and the size of tiles leave no trace in the shapes.

        Raises:
            ConfigError: an entry of the file's config is another, or missing.
        """
        for place, told, given in (
            ("encoder", self.encoder, encoder),
            ("transform", self.transform, transform),
        ):
            wrong = {key: value for key, value in told.items() if given.get(key) != value}
            if wrong:
                listed = ", ".join(f"{key}={value!r}" for key, value in wrong.items())
                raise ConfigError(
                    f"is not what the weights '{self.name}' were made for",
                    where=f"preparation.{place}",
                    fix=f"give {listed}",
                )


def read_own_encoder(path: Path) -> OwnEncoder | None:
    """Return what the file of an own encoder tells; ``None`` for any other file.

    Raises:
        CheckpointError: the file of an own encoder is damaged, or tells too little.
    """
    if path not in own_encoders().values():
        return None
    try:
        with safetensors.safe_open(path, "pt") as file:
            told = file.metadata() or {}
        return OwnEncoder(
            path.stem,
            json.loads(told["encoder"]),
            json.loads(told["transform"]),
            told["trained_on"],
        )
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"is damaged: {error}", where=path, fix="install gigakit again"
        ) from error


def write_own_encoder(
    state: Mapping[str, Tensor],
    path: Path,
    *,
    encoder: Mapping[str, Any],
    transform: Mapping[str, Any],
    trained_on: str,
    licence: str,
) -> None:
    """Write an encoder's tensors as float16, with all that a user of the file must know.

    ``config`` in the metadata lets ``gigakit probe`` read the file as it reads exports.

    Args:
        state: under gigakit's names; a mask token is left out.
        path: the file.
        encoder: config from BACKBONES, stating every size.
        transform: config from AUGMENTATIONS.
        trained_on: see :class:`OwnEncoder`.
        licence: of the weights, such as ``Apache-2.0``.
    """
    half = {
        name: tensor.to(torch.float16)
        for name, tensor in state.items()
        if name != _PRETRAINING_ONLY
    }
    metadata = {
        "encoder": json.dumps(dict(encoder), sort_keys=True),
        "transform": json.dumps(dict(transform), sort_keys=True),
        "config": f"encoder = {dict(encoder)!r}\ntransform = {dict(transform)!r}\n",
        "trained_on": trained_on,
        "licence": licence,
        "gigakit": __version__,
    }
    write_safetensors(half, path, metadata=metadata)
