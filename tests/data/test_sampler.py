"""The resumable sampler."""

from __future__ import annotations

import itertools

import pytest

from gigakit.registry import SAMPLERS


def make(**arguments):
    return SAMPLERS.build({"type": "ResumableSampler", "dataset": range(10), **arguments})


def test_each_epoch_visits_everything_once_in_a_new_order():
    draws = list(itertools.islice(make(seed=1), 30))
    assert [draw for _, draw in draws] == list(range(30))
    epochs = [[index for index, _ in draws[e : e + 10]] for e in (0, 10, 20)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_resumed_sampler_continues_where_it_was():
    whole = list(itertools.islice(make(seed=3), 47))
    resumed = make(seed=3)
    resumed.start = 23
    assert list(itertools.islice(resumed, 24)) == whole[23:]


def test_ranks_share_the_draws_without_overlap():
    parts = []
    for rank in range(3):
        sampler = make(seed=2)
        sampler.rank, sampler.world_size = rank, 3
        parts.append(list(itertools.islice(sampler, 20)))
    together = sorted(itertools.chain(*parts), key=lambda item: item[1])
    assert together == list(itertools.islice(make(seed=2), 60))


def test_without_shuffling_the_order_is_kept():
    assert [index for index, _ in itertools.islice(make(shuffle=False), 12)] == [*range(10), 0, 1]


@pytest.mark.parametrize("seed", [None, 0])
def test_no_seed_counts_as_zero(seed):
    assert list(itertools.islice(make(seed=seed), 10)) == list(itertools.islice(make(seed=0), 10))
