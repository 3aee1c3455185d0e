"""Batch slides of unequal length by padding on the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from gigakit.registry import FUNCTIONS


@FUNCTIONS.register_module()
def pad_slides(data_batch: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Stack slides of ``SlideFeatures`` into one batch.

    Args:
        data_batch: samples with ``features`` (L, D), ``grid`` (L, 2), ``seed``, ``slide_id`` and
            possibly ``token_mask`` (L,).

    Returns:
        ``features`` (B, L, D) float32, ``grid`` (B, L, 2) float64, ``padding_mask`` (B, L) bool,
        True = padding, ``seed`` (B,) int64, ``slide_id`` list of str and, where the samples have
        one, ``token_mask`` (B, L) bool, True = masked out (padding is not masked out).
    """
    length = torch.tensor([len(sample["features"]) for sample in data_batch])
    batch = {
        "features": pad_sequence([sample["features"] for sample in data_batch], batch_first=True),
        "grid": pad_sequence([sample["grid"] for sample in data_batch], batch_first=True),
        "padding_mask": torch.arange(int(length.max()))[None, :] >= length[:, None],
        "seed": torch.tensor([sample["seed"] for sample in data_batch], dtype=torch.int64),
        "slide_id": [sample["slide_id"] for sample in data_batch],
    }
    if "token_mask" in data_batch[0]:
        batch["token_mask"] = pad_sequence(
            [sample["token_mask"] for sample in data_batch], batch_first=True
        )
    return batch
