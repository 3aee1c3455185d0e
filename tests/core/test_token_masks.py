"""The rule that hides tokens."""

from __future__ import annotations

import numpy as np
import pytest

from gigakit.core.seeding import random_generator
from gigakit.core.token_masks import random_token_mask


@pytest.mark.parametrize(
    ("length", "ratio", "visible"),
    [(49, 0.75, 12), (196, 0.75, 49), (10, 0.9, 1), (100, 0.9, 10), (3, 0.75, 1), (1, 0.75, 1)],
)
def test_visible_count_is_that_of_mae_but_never_zero(length, ratio, visible):
    mask = random_token_mask(length, ratio, random_generator(0))
    assert mask.shape == (length,)
    assert (~mask).sum() == visible


def test_an_empty_slide_has_an_empty_mask():
    assert random_token_mask(0, 0.75, random_generator(0)).shape == (0,)


def test_every_token_is_hidden_equally_often():
    counts = sum(random_token_mask(20, 0.75, random_generator(5, n)) for n in range(4000))
    assert np.all(np.abs(counts / 4000 - 0.75) < 0.03)
