"""Tissue by colour against the published filter."""

from __future__ import annotations

import numpy as np
import pytest

from gigakit.core.errors import ConfigError
from gigakit.registry import AUGMENTATIONS


def build(**changes):
    return AUGMENTATIONS.build({"type": "TissueFilter", **changes})


def test_shares_and_decisions_are_the_published_ones(shared):
    reference = np.load(shared / "reference/ssl/pathology_aug.npz")
    accept = build()
    shares = [accept.share(tile) for tile in reference["hsv_tiles"]]
    assert shares == pytest.approx(reference["hsv_ratio"].tolist(), abs=1e-9)
    decisions = [accept(tile) for tile in reference["hsv_tiles"]]
    assert decisions == reference["hsv_accept_gt_0.6"].tolist()


def test_the_share_itself_is_not_enough():
    tile = np.full((10, 10, 3), 245, dtype=np.uint8)
    tile[:6] = (200, 90, 170)
    assert build().share(tile) == 0.6
    assert not build()(tile)
    assert build(least_share=0.59)(tile)
    assert not build(hue=(0, 60), least_share=0.0)(tile)


def test_what_cannot_be_is_told():
    with pytest.raises(ConfigError, match=r"TissueFilter\.least_share: got 1"):
        build(least_share=1)
    with pytest.raises(ConfigError, match=r"TissueFilter\.hue: got \(90, 400\)"):
        build(hue=(90, 400))
