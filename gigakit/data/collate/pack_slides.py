"""Batch slides of unequal length by packing them into one sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from gigakit.registry import FUNCTIONS


@FUNCTIONS.register_module()
def pack_slides(data_batch: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Put slides of ``SlideFeatures`` one after another: no padding is stored or computed.

    Args:
        data_batch: samples with ``features`` (L, D), ``grid`` (L, 2), ``seed``, ``slide_id`` and
            possibly ``token_mask`` (L,).

    Returns:
        ``features`` (1, N, D) float32 and ``grid`` (1, N, 2) float64 of all N tiles, ``lengths``
        list of int, ``seed`` (B,) int64, ``slide_id`` list of str and, where the samples have one,
        ``token_mask`` (1, N) bool, True = masked out.
    """
    tensors = [name for name in ("features", "grid", "token_mask") if name in data_batch[0]]
    return {
        **{name: torch.cat([sample[name] for sample in data_batch])[None] for name in tensors},
        "lengths": [len(sample["features"]) for sample in data_batch],
        "seed": torch.tensor([sample["seed"] for sample in data_batch], dtype=torch.int64),
        "slide_id": [sample["slide_id"] for sample in data_batch],
    }
