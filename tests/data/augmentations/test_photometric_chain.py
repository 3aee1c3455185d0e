"""The published chain changes views as often as the release did."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gigakit.core.seeding import random_generator
from gigakit.registry import AUGMENTATIONS

NAMES = {"jitter": "ColorJitter", "gray": "RandomGrey", "blur": "GaussianBlur",
         "solarize": "Solarize"}  # fmt: skip
# images that the release's fractions were counted over
RELEASED = 5000


@pytest.mark.parametrize("word", NAMES)
def test_views_change_as_often_as_released(shared, word):
    text = (shared / "reference/ssl/augmentation_statistics.json").read_text()
    operation = AUGMENTATIONS.build({"type": NAMES[word]})
    flags = np.stack([operation.draw(random_generator(n), 10)[:, 0] for n in range(2000)])
    found = {"global1": flags[:, 0], "global2": flags[:, 1], "local": flags[:, 2:]}
    for kind, values in found.items():
        expected = json.loads(text)[f"applied_fraction_{kind}"][word]
        spread = np.sqrt(expected * (1 - expected) * (1 / values.size + 1 / RELEASED))
        assert abs(values.mean() - expected) <= 3 * spread
