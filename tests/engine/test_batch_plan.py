"""Steps of unequal batches: what they use, how they count, and that runs of them resume exactly."""

from __future__ import annotations

import copy
import json
from types import SimpleNamespace

import numpy as np
import pytest
from resuming.comparison import differences, left_by
from resuming.processes import SIGKILLED, Order, start
from resuming.recipes import resolved

from gigakit.core.errors import ConfigError
from gigakit.data.samplers.resumable import ResumableSampler
from gigakit.data.samplers.token_budget import TokenBudget
from gigakit.engine.batch_plan import BatchPlan
from gigakit.engine.train import train
from gigakit.registry import DATASETS

LENGTHS = [30, 5, 80, 12, 44, 9, 61, 3, 27, 90, 18]


def plan(*, ranks=1, accumulation=1, budget=100):
    dataset = SimpleNamespace(lengths=LENGTHS, __len__=lambda: 11)
    sampler = ResumableSampler(LENGTHS, seed=2)
    sampler.dataset = dataset
    batches = TokenBudget(sampler, max_tokens=budget, padded=False)
    loader = SimpleNamespace(batch_size=None, batch_sampler=batches, sampler=None)
    return BatchPlan(loader, ranks=ranks, accumulation=accumulation)


def test_a_step_takes_the_same_draws_however_its_batches_are_shared():
    one, two = plan(accumulation=4), plan(ranks=2, accumulation=2)
    for step in range(12):
        assert one.draws_at(step) == two.draws_at(step)
        both = [two.batches(step, rank) for rank in range(2)]
        assert one.batches(step, 0) == [both[0][0], both[1][0], both[0][1], both[1][1]]
        used = [draw for batch in one.batches(step, 0) for draw in batch]
        assert used == list(range(one.draws_at(step), one.draws_at(step + 1)))


def test_weights_make_a_steps_loss_the_mean_of_its_samples():
    shared = plan(ranks=2, accumulation=2)
    for step in range(12):
        sizes, weights = [], []
        for rank in range(2):
            sizes += [len(batch) for batch in shared.batches(step, rank)]
            weights += shared.weights(step, rank)
        assert weights == pytest.approx([4 * size / sum(sizes) for size in sizes])
    assert len(set(sizes)) > 1


def test_a_resumed_plan_goes_on_as_the_whole():
    whole, resumed = plan(accumulation=2), plan(accumulation=2)
    resumed.go_on(5, whole.draws_at(5))
    assert [resumed.draws_at(step) for step in range(5, 30)] == [
        whole.draws_at(step) for step in range(5, 30)
    ]
    assert resumed.batches(9, 0) == whole.batches(9, 0)


def test_an_epoch_has_the_steps_that_its_slides_fill():
    for accumulation in (1, 3):
        steps = plan(accumulation=accumulation).steps_per_epoch
        counted = plan(accumulation=accumulation)
        assert counted.draws_at(steps - 1) < len(LENGTHS) <= counted.draws_at(steps)


def test_another_optimiser_wrapper_is_refused(values, tmp_path):
    changed = copy.deepcopy(values)
    changed["optim_wrapper"] = {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 0.1}}
    with pytest.raises(ConfigError, match="does not weigh batches"):
        train(changed, work_dir=tmp_path)


@pytest.fixture(scope="module")
def values(feature_folder):
    """Return a run of 7 steps of two packed batches each, two or three slides a batch."""
    return resolved(
        "tiny/slide",
        {
            "features": str(feature_folder),
            "train_dataloader.dataset.views_per_slide": 5,
            "train_dataloader.batch_sampler": {
                "type": "TokenBudget", "max_tokens": 140, "padded": False,
            },
            "train_dataloader.collate_fn": {"type": "pack_slides"},
            "train_cfg.epochs": 9,
            "train_cfg.max_steps": 7,
            "optim_wrapper.accumulative_counts": 2,
            "default_hooks.checkpoint.interval_steps": 3,
            "default_hooks.scalars.interval_steps": 1,
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(values, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    start(Order(values, folder, folder.with_name("notes"), counts_calls=False)).finish()
    lines = (folder.with_name("notes") / "steps-0.jsonl").read_text().splitlines()
    return {**left_by(folder), "steps": [json.loads(line)["loss"] for line in lines]}


def test_killed_and_resumed_it_ends_bit_identical_and_reads_nothing_twice(values, whole, tmp_path):
    def order(attempt, workers, **more):
        changed = copy.deepcopy(values)
        changed["train_dataloader"]["num_workers"] = workers
        notes = tmp_path / f"notes-{attempt}"
        return Order(changed, tmp_path / "run", notes, counts_calls=False, **more)

    fault = ("rename", {"file": "step-", "occurrence": 1})
    assert start(order(0, 0, fault=fault)).wait() == [SIGKILLED]
    again = order(1, 2, resume=True)
    start(again).finish()
    left = {key: value for key, value in whole.items() if key != "steps"}
    assert list(differences(left, left_by(tmp_path / "run"))) == []
    used = whole["checkpoint"]["meta"]["draws"]
    read = {int(line) for line in (again.notes / "reads").read_text().split()}
    # three of seven steps were in the checkpoint, of unequal numbers of slides
    assert min(read) > 3 * 2
    assert set(range(min(read), used)) <= read


def test_the_logged_loss_is_the_mean_over_a_steps_slides(values, whole):
    dataset = DATASETS.build(values["train_dataloader"]["dataset"])
    order = ResumableSampler(dataset, seed=values["randomness"]["seed"])
    batches = iter(TokenBudget(order, max_tokens=140, padded=False))
    rows = [row for row in whole["scalars.jsonl"] if "train/loss" in row]
    sizes = [[len(next(batches)) for _ in losses] for losses in whole["steps"]]
    assert any(len(set(step)) > 1 for step in sizes)
    for row, losses, step in zip(rows, whole["steps"], sizes, strict=True):
        assert row["train/loss"] == pytest.approx(np.average(losses, weights=step), rel=1e-6)


def test_two_processes_equal_one(values, whole, tmp_path):
    shared = copy.deepcopy(values)
    shared["optim_wrapper"]["accumulative_counts"] = 1
    order = Order(shared, tmp_path / "run", tmp_path / "notes", counts_calls=False)
    start(order, 2).finish()
    found, expected = left_by(tmp_path / "run")["scalars.jsonl"], whole["scalars.jsonl"]
    for row, wanted in zip(found, expected, strict=True):
        assert row == pytest.approx(wanted, rel=1e-4, abs=1e-7)
