"""Stateless seeds."""

from __future__ import annotations

import numpy as np

from gigakit.core.seeding import fold_in, random_generator


def test_seeds_depend_on_every_part_and_their_order():
    seeds = {fold_in(s, a, b) for s in range(3) for a in range(10) for b in range(10)}
    assert len(seeds) == 300
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_trailing_zero_is_another_use():
    assert len({fold_in(7), fold_in(7, 0), fold_in(7, 0, 0), fold_in(0, 7)}) == 4


def test_a_seed_is_the_same_on_every_machine():
    assert fold_in(0, 1, 2) == 5975187269406873824


def test_generators_of_neighbouring_draws_are_not_correlated():
    draws = np.stack([random_generator(0, n).standard_normal(500) for n in range(20)])
    correlation = np.corrcoef(draws) - np.eye(20)
    assert np.abs(correlation).max() < 0.2
