"""Batch labelled slides of unequal length by padding on the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from gigakit.data.collate.pad_slides import pad_slides
from gigakit.registry import FUNCTIONS


@FUNCTIONS.register_module()
def pad_bags(data_batch: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Stack slides of ``SlideBags`` into one batch.

    Args:
        data_batch: samples with ``features`` (L, D), ``grid`` (L, 2), ``label``, ``seed``,
            ``slide_id`` and ``patient_id``.

    Returns:
        What :func:`~gigakit.data.collate.pad_slides.pad_slides` returns, with ``label`` (B,) int64
        of classes or (B, T) float32, and ``patient_id`` list of str.
    """
    return {
        **pad_slides(data_batch),
        "label": torch.stack([sample["label"] for sample in data_batch]),
        "patient_id": [sample["patient_id"] for sample in data_batch],
    }
