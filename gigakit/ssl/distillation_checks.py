"""What a step of self-distillation cannot do, told before it is tried."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from torch import nn

from gigakit.core.errors import ConfigError
from gigakit.ssl.distillation import DistillationLoss, MaskedPatches

LOGGER = logging.getLogger(__name__)


def check_population(population: str, targets: nn.Module) -> None:
    """Refuse a population of patches that the targets of patches do not follow.

    Raises:
        ConfigError: an unknown one, or targets without a center.
    """
    if population not in ("masked", "all"):
        raise ConfigError(
            f"unknown patch_population '{population}'",
            where="model.patch_population",
            fix="choose masked or all",
        )
    if population == "all" and not getattr(targets, "follows_population", False):
        raise ConfigError(
            f"{type(targets).__name__} follows no population",
            where="model.patch_population",
            fix="take Centering, or leave it out",
        )


def check_crops(crops: int, expected: int) -> None:
    """Refuse another number of global crops.

    Raises:
        ConfigError: it is another.
    """
    if crops != expected:
        raise ConfigError(
            f"got {crops} global crops",
            where="train_dataloader.dataset.views",
            fix=f"give {expected}",
        )


def check_masks(masked: MaskedPatches, *, needed: bool) -> None:
    """Refuse a batch without masks where a loss needs them.

    Raises:
        ConfigError: there are none.
    """
    if needed and masked.indices is None:
        raise ConfigError(
            "a loss of masked patches needs masks",
            where="train_dataloader.collate_fn.masking",
            fix="add dict(type='BlockMasks'), or take IbotLoss out",
        )


def check_images(images: int, losses: Iterable[DistillationLoss]) -> None:
    """Refuse a batch too small for a loss that compares tiles.

    Raises:
        ConfigError: it is.
    """
    least = max((getattr(loss, "least_images", 1) for loss in losses), default=1)
    if images < least:
        raise ConfigError(
            f"a loss compares {least} tiles or more, a batch has {images}",
            where="train_dataloader.batch_size",
            fix="raise it, or take KoLeoLoss out",
        )


def tell_of_few_rows(rows: int, targets: Iterable[nn.Module], prototypes: int) -> bool:
    """Warn where targets share too few rows among the prototypes, and return whether they do."""
    few = rows < max((getattr(kind, "least_rows", 0) for kind in targets), default=0)
    if few:
        LOGGER.warning(
            "Sinkhorn shares %d rows among %d prototypes: targets are nearly uniform; take a "
            "larger batch, fewer prototypes or Centering",
            rows,
            prototypes,
        )
    return few
