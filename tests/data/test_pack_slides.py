"""Batches of unequal slides without padding."""

from __future__ import annotations

import torch
from data.test_pad_slides import sample

from gigakit.registry import FUNCTIONS


def test_slides_follow_one_another():
    batch = FUNCTIONS.get("pack_slides")([sample(2, mask=True), sample(5, mask=True)])
    assert batch["lengths"] == [2, 5]
    assert batch["features"][0, :, 0].tolist() == [2.0] * 2 + [5.0] * 5
    assert batch["grid"].shape == (1, 7, 2)
    assert batch["grid"].dtype == torch.float64
    assert batch["token_mask"].shape == (1, 7)
    assert batch["seed"].tolist() == [2**62 + 2, 2**62 + 5]
    assert batch["slide_id"] == ["s2", "s5"]
    assert "padding_mask" not in batch


def test_a_token_mask_is_optional():
    assert "token_mask" not in FUNCTIONS.get("pack_slides")([sample(2, mask=False)])
