"""Batch the crops of images, and say which patches are masked."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gigakit.core.errors import ConfigError
from gigakit.core.seeding import random_generator
from gigakit.data.maskings.patch_counts import PatchMasking
from gigakit.registry import FUNCTIONS, MASKINGS

# a word that keeps this use of an image's seed apart from the others
_MASKS = 101


@FUNCTIONS.register_module()
def collate_views(
    data_batch: Sequence[dict[str, Any]],
    *,
    patch_size: int = 16,
    masking: Mapping[str, Any] | None = None,
    constant: bool = False,
    multiple_of: int = 1,
) -> dict[str, Any]:
    """Stack images crop by crop: first all images' crop 1, then all images' crop 2.

    Masks follow from the seed of the batch's first image, and those of a masking with ``per_image``
    from each image's own: the same images always have the same masks.

    Args:
        data_batch: B samples with ``global_crops`` (V, 3, S, S), ``local_crops`` (L, 3, s, s),
            ``seed`` and ``image_id``.
        patch_size: side of a patch in px.
        masking: config from MASKINGS of the global crops' patches; ``None`` for none.
        constant: fill ``mask_indices`` up to the most patches that the masking can hide, so that
            batches of one size have tensors of one shape, as compiled networks like them. What
            fills up has place 0 and weight 0; ``mask_count`` () int64 tells what does not.
        multiple_of: fill up to the next multiple instead, the same way: few shapes at little cost.
            oneDNN keeps its kernels of 1,024 shapes, which takes a GB where each step has its own.

    Returns:
        ``global_crops`` (V, B, 3, S, S), ``local_crops`` (L, B, 3, s, s), ``seed`` (B,) int64 and
        ``image_id`` list of str. With a masking, of the P patches of a global crop, ``masks``
        (V B, P) bool, True = masked out, whose row is v B + b, ``mask_indices`` (M,) int64 of the
        masked patches among all (V B P), and ``mask_weights`` (M,) float32, 1 over the masked
        patches of the crop; with ``constant`` or ``multiple_of`` also ``mask_count``.

    Raises:
        ConfigError: crops that do not divide into patches, a masking of something else, or a
            multiple below 1.
    """
    if multiple_of < 1:
        raise ConfigError(
            f"there are no multiples of {multiple_of} to fill up to",
            where="collate_fn.multiple_of",
            fix="give 1 for none, or a number of masked patches such as 32",
        )
    batch: dict[str, Any] = {
        name: torch.stack([sample[name] for sample in data_batch], dim=1)
        for name in ("global_crops", "local_crops")
    }
    seeds = [int(sample["seed"]) for sample in data_batch]
    batch["seed"] = torch.tensor(seeds, dtype=torch.int64)
    batch["image_id"] = [sample["image_id"] for sample in data_batch]
    if masking is None:
        return batch
    views, _, _, *size = batch["global_crops"].shape
    if any(side % patch_size for side in size):
        raise ConfigError(
            f"crops of {size[0]} x {size[1]} px have no whole patches of {patch_size} px",
            where="collate_fn.patch_size",
            fix="give the patch size of the encoder",
        )
    built = _masking(json.dumps(masking))
    masks = _draw(built, views, [side // patch_size for side in size], seeds)
    masked = masked_patches(torch.from_numpy(masks))
    if constant:
        masked = filled_up(masked, built.counts.most(*masks.shape))
    elif multiple_of > 1:
        masked = filled_up(masked, -(-len(masked["mask_indices"]) // multiple_of) * multiple_of)
    return {**batch, **masked}


def masked_patches(masks: Tensor) -> dict[str, Tensor]:
    """Return ``masks`` ``(N, P)`` with the places and weights of what is masked."""
    indices = masks.flatten().nonzero().flatten()
    weights = 1.0 / masks.sum(dim=1)[indices // masks.shape[1]]
    return {"masks": masks, "mask_indices": indices, "mask_weights": weights}


def filled_up(masked: dict[str, Tensor], length: int) -> dict[str, Tensor]:
    """Bring what :func:`masked_patches` returns to a length, and tell the ``mask_count``."""
    count = len(masked["mask_indices"])
    filled = {
        name: functional.pad(masked[name], (0, length - count))
        for name in ("mask_indices", "mask_weights")
    }
    return {**masked, **filled, "mask_count": torch.tensor(count)}


def _draw(masking: PatchMasking, views: int, grid: list[int], seeds: list[int]) -> np.ndarray:
    height, width = grid
    if not masking.per_image:
        generator = random_generator(seeds[0], _MASKS)
        return masking.draw(views * len(seeds), height, width, generator)
    own = [masking.draw(views, height, width, random_generator(seed, _MASKS)) for seed in seeds]
    return np.stack(own, axis=1).reshape(views * len(seeds), -1)


@functools.cache
def _masking(config: str) -> PatchMasking:
    """Build a masking once a process."""
    masking = MASKINGS.build(json.loads(config))
    if not isinstance(masking, PatchMasking):
        raise ConfigError(
            f"{type(masking).__name__} does not mask images",
            where="collate_fn.masking",
            fix="choose BlockMasks, InverseBlockMasks or RandomPatchMasks",
        )
    return masking
