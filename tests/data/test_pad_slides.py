"""Batches of unequal slides."""

from __future__ import annotations

import torch

from gigakit.registry import FUNCTIONS


def sample(length, *, mask):
    item = {
        "features": torch.full((length, 3), float(length)),
        "grid": torch.full((length, 2), float(length), dtype=torch.float64),
        "seed": 2**62 + length,
        "slide_id": f"s{length}",
    }
    return item | ({"token_mask": torch.ones(length, dtype=torch.bool)} if mask else {})


def test_padding_is_on_the_right_and_marked():
    batch = FUNCTIONS.get("pad_slides")([sample(2, mask=True), sample(5, mask=True)])
    assert batch["features"].shape == (2, 5, 3)
    assert batch["grid"].dtype == torch.float64
    assert batch["padding_mask"].tolist() == [[False] * 2 + [True] * 3, [False] * 5]
    assert batch["token_mask"].tolist() == [[True] * 2 + [False] * 3, [True] * 5]
    assert batch["features"][0, 2:].abs().sum() == 0
    assert batch["seed"].tolist() == [2**62 + 2, 2**62 + 5]
    assert batch["slide_id"] == ["s2", "s5"]


def test_a_token_mask_is_optional():
    assert "token_mask" not in FUNCTIONS.get("pad_slides")([sample(2, mask=False)])
