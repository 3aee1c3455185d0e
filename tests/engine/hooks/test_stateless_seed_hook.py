"""Random numbers that depend on the step and the rank alone."""

from types import SimpleNamespace

import torch

from gigakit.engine.hooks.stateless_seed_hook import StatelessSeedHook


def draws(rank, iteration, *, seed=3, before=0):
    torch.rand(before)
    runner = SimpleNamespace(seed=seed, rank=rank, iter=iteration)
    StatelessSeedHook().before_train_iter(runner, iteration)
    return torch.rand(8)


def test_a_step_draws_the_same_whatever_came_before():
    assert torch.equal(draws(0, 5), draws(0, 5, before=99))


def test_steps_ranks_seeds_and_validation_differ():
    runner = SimpleNamespace(seed=3, rank=0, iter=0)
    StatelessSeedHook().before_val_epoch(runner)
    found = [torch.rand(8), draws(0, 0), draws(0, 1), draws(1, 0), draws(0, 0, seed=4)]
    assert len({tuple(values.tolist()) for values in found}) == len(found)
