"""What objectives on images have alike: their preprocessor, and features of whole images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gigakit.core.errors import ConfigError
from gigakit.nn.backbones.vit import VisionTransformer
from gigakit.registry import OBJECTIVES

Mode = Literal["tensor", "loss", "predict"]
Feature = Literal["cls", "mean"]


def built_preprocessor(config: dict[str, Any] | None) -> nn.Module | None:
    """Build a preprocessor from OBJECTIVES; mmengine looks for them among its own alone."""
    preprocessor: nn.Module | None = OBJECTIVES.build(config) if config else None
    return preprocessor


def check_feature(feature: str) -> None:
    """Raise a ConfigError unless a feature is known."""
    if feature not in ("cls", "mean"):
        raise ConfigError(
            f"unknown feature '{feature}'", where="model.feature", fix="choose cls or mean"
        )


def embedded(encoder: VisionTransformer, images: Tensor, feature: Feature) -> Tensor:
    """Return cls or the mean of the patches, ``(n, D)``, of normalised images ``(n, 3, h, w)``."""
    tokens = encoder.tokens(images)
    return tokens[:, 0] if feature == "cls" else tokens[:, 1 + encoder.registers :].mean(dim=1)


def one_dict_an_image(features: Tensor, entries: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each image's ``features`` ``(D,)`` with what the batch tells of it.

    Args:
        features: ``(B, D)``.
        entries: the batch's other entries: lists and vectors of B values are told, the rest, such
            as crops, belongs to no single image.
    """
    columns: dict[str, list[Any]] = {}
    for name, values in entries.items():
        # one transfer for all images
        listed = values.tolist() if torch.is_tensor(values) and values.ndim == 1 else values
        if isinstance(listed, (list, tuple)) and len(listed) == len(features):
            columns[name] = list(listed)
    return [
        {"features": row, **{name: values[image] for name, values in columns.items()}}
        for image, row in enumerate(features)
    ]
