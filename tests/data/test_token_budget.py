"""Batches by a budget of tokens."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader

from gigakit.core.errors import ConfigError
from gigakit.data.samplers.token_budget import TokenBudget
from gigakit.registry import DATASETS, FUNCTIONS, SAMPLERS

LENGTHS = [30, 5, 80, 12, 44, 9, 61, 3, 27, 150, 18]


class Sized(list):
    lengths = LENGTHS


def make(*, rank=0, ranks=1, start=0, seed=1, lengths=LENGTHS, **arguments):
    dataset = Sized(range(len(lengths)))
    dataset.lengths = lengths
    order = SAMPLERS.build({"type": "ResumableSampler", "dataset": dataset, "seed": seed})
    order.rank, order.world_size = rank, ranks
    budget = SAMPLERS.build(
        {"type": "TokenBudget", "sampler": order, "max_tokens": 100, "batch_size": 4, **arguments}
    )
    budget.start = start
    return budget


def first(sampler, count=40):
    return list(itertools.islice(sampler, count))


def tokens(batch, padded):
    lengths = [LENGTHS[index] for index, _ in batch]
    return max(lengths) * len(lengths) if padded else sum(lengths)


@pytest.mark.parametrize("padded", [True, False])
def test_a_batch_takes_the_next_slides_while_they_fit(padded):
    batches = first(make(padded=padded))
    assert [draw for batch in batches for _, draw in batch] == list(range(sum(map(len, batches))))
    for batch, following in itertools.pairwise(batches):
        assert len(batch) == 1 or tokens(batch, padded) <= 100
        # the next one would have been too much
        assert tokens([*batch, following[0]], padded) > 100
    assert len({len(batch) for batch in batches}) > 2


def test_the_order_of_draws_is_the_samplers():
    budget = make()
    order = list(itertools.islice(budget.sampler, 60))
    assert [key for batch in first(budget) for key in batch][:60] == order[:60]


def test_a_slide_beyond_the_budget_is_a_batch_of_its_own_and_told_once(caplog):
    batches = first(make())
    alone = [batch for batch in batches if LENGTHS[batch[0][0]] == 150]
    assert alone
    assert all(len(batch) == 1 for batch in alone)
    (record,) = caplog.records
    assert record.getMessage().startswith("1 of 11 slides have more than max_tokens 100 tiles")


def test_a_resumed_part_has_the_batches_of_the_whole():
    whole = first(make(), 50)
    for done in (1, 7, 23):
        draws = sum(map(len, whole[:done]))
        assert first(make(start=draws), 50 - done) == whole[done:]


def test_ranks_take_turns_and_make_the_same_number_of_batches():
    alone = first(make(), 30)
    parts = [first(make(rank=rank, ranks=3), 10) for rank in range(3)]
    assert [batch for turn in zip(*parts, strict=True) for batch in turn] == alone


@pytest.mark.parametrize("workers", [0, 2])
def test_the_loader_reads_whole_batches_whatever_the_worker_count(feature_folder, workers):
    dataset = DATASETS.build(
        {"type": "SlideFeatures", "root": str(feature_folder), "views_per_slide": 2}
    )
    assert dataset.lengths == [40, 50, 60] * 2
    order = SAMPLERS.build({"type": "ResumableSampler", "dataset": dataset, "seed": 0})
    loader = DataLoader(
        dataset,
        batch_sampler=TokenBudget(order, max_tokens=110, padded=False),
        num_workers=workers,
        collate_fn=FUNCTIONS.get("pack_slides"),
    )
    for batch in itertools.islice(loader, 6):
        assert sum(batch["lengths"]) == batch["features"].shape[1] <= 110
        assert isinstance(batch["seed"], torch.Tensor)


def test_what_it_cannot_work_with_is_refused():
    with pytest.raises(ConfigError, match="max_tokens is 0"):
        make(max_tokens=0)
    order = SAMPLERS.build({"type": "ResumableSampler", "dataset": range(4)})
    for unfit in (order, SimpleNamespace(dataset=Sized())):
        with pytest.raises(ConfigError, match="knows its lengths"):
            TokenBudget(unfit, max_tokens=10)
