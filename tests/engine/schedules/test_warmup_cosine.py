"""The learning rate of every step, against the formula."""

import math

import pytest
import torch

from gigakit.core.errors import ConfigError
from gigakit.engine.schedules.warmup_cosine import WarmupCosine


def optimizer(*rates):
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": rate} for rate in rates]
    return torch.optim.SGD(groups, lr=1.0)


def walk(optim, schedule, steps):
    rates = []
    for _ in range(steps):
        rates.append([group["lr"] for group in optim.param_groups])
        optim.step()
        schedule.step()
    return rates


def test_values_are_the_formulas():
    optim = optimizer(0.4, 0.1)
    schedule = WarmupCosine(
        optim, warmup_epochs=2, final_lr=0.04, total_steps=20, steps_per_epoch=3
    )
    for step, (first, second) in enumerate(walk(optim, schedule, 20)):
        if step < 6:
            expected = 0.4 * step / 6
        else:
            expected = 0.04 + 0.36 * (1 + math.cos(math.pi * (step - 6) / 14)) / 2
        assert first == pytest.approx(expected, abs=1e-12)
        assert second == pytest.approx(expected / 4, abs=1e-12)


def test_state_is_restored_exactly():
    optim = optimizer(0.3)
    schedule = WarmupCosine(optim, total_steps=30, steps_per_epoch=7)
    rates = walk(optim, schedule, 30)
    again = optimizer(0.3)
    half = WarmupCosine(again, total_steps=30, steps_per_epoch=7)
    walk(again, half, 13)
    fresh = optimizer(0.3)
    resumed = WarmupCosine(fresh, total_steps=30, steps_per_epoch=7)
    fresh.load_state_dict(again.state_dict())
    resumed.load_state_dict(half.state_dict())
    assert walk(fresh, resumed, 17) == rates[13:]


def test_a_prolonged_run_follows_the_longer_curve():
    short, long = optimizer(0.3), optimizer(0.3)
    before = WarmupCosine(short, total_steps=10, steps_per_epoch=2)
    walk(short, before, 10)
    whole = walk(long, WarmupCosine(long, total_steps=30, steps_per_epoch=2), 30)
    resumed = optimizer(0.3)
    after = WarmupCosine(resumed, total_steps=30, steps_per_epoch=2)
    resumed.load_state_dict(short.state_dict())
    after.load_state_dict(before.state_dict())
    assert walk(resumed, after, 20)[1:] == whole[11:]


@pytest.mark.parametrize(
    "wrong",
    [
        {"warmup_epochs": -1, "total_steps": 5, "steps_per_epoch": 1},
        {"final_lr": -0.1, "total_steps": 5, "steps_per_epoch": 1},
        {"steps_per_epoch": 1},
    ],
)
def test_bad_arguments_are_config_errors(wrong):
    with pytest.raises(ConfigError):
        WarmupCosine(optimizer(1.0), **wrong)
