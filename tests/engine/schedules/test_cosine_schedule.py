"""Learning rate and weight decay of every group at every step."""

import json

import numpy as np
import pytest
import torch

from gigakit.core.errors import ConfigError
from gigakit.engine.optim_wrappers.guarded_optim_wrapper import GuardedOptimWrapper
from gigakit.engine.schedules.cosine_schedule import CosineSchedule
from gigakit.engine.schedules.curve import Curve

STEPS = {"total_steps": 20, "steps_per_epoch": 5}


def optimizer(*groups, **defaults):
    made = [{"params": [torch.zeros(1, requires_grad=True)], **group} for group in groups]
    return torch.optim.AdamW(made, **defaults)


def walk(optim, schedules, steps, key):
    rows = []
    for _ in range(steps):
        rows.append([group[key] for group in optim.param_groups])
        optim.step()
        for schedule in schedules:
            schedule.step()
    return np.array(rows).T


def test_groups_follow_dinov2s_schedules_with_their_factors(shared):
    settings = json.loads((shared / "reference/ssl/schedules.json").read_text())
    expected = np.load(shared / "reference/ssl/schedules.npz")
    lr, wd = settings["configs"]["lr"], settings["configs"]["wd"]
    per_epoch = settings["iters_per_epoch"]
    counts = {"total_steps": lr["total_iters"], "steps_per_epoch": per_epoch}
    groups = [
        {"lr": lr["base_value"] * 0.5, "lr_mult": 0.5, "wd_mult": 1.0},
        {"weight_decay": 0.0, "wd_mult": 0.0, "lr_mult": 1.0},
        {"is_last_layer": True, "lr_mult": 1.0, "wd_mult": 1.0},
    ]
    optim = optimizer(*groups, lr=lr["base_value"], weight_decay=wd["base_value"])
    rates = CosineSchedule(
        optim, final=lr["final_value"], warmup_epochs=lr["warmup_iters"] / per_epoch,
        last_layer_frozen_epochs=1, **counts,
    )  # fmt: skip
    decays = CosineSchedule(optim, key="weight_decay", final=wd["final_value"], **counts)
    whole = len(expected["lr_full"])
    found = walk(optim, [rates], whole, "lr")
    np.testing.assert_allclose(found[0], expected["lr_full"] * 0.5, rtol=1e-12)
    np.testing.assert_allclose(found[1], expected["lr_full"], rtol=1e-12)
    np.testing.assert_allclose(found[2], expected["last_layer_lr_full"], rtol=1e-12)
    found = walk(optim, [decays], whole, "weight_decay")
    np.testing.assert_allclose(found[0], expected["wd_full"], rtol=1e-12)
    assert found[1].tolist() == [0.0] * whole
    np.testing.assert_allclose(found[2], expected["wd_full"], rtol=1e-12)


def test_groups_without_noted_factors_keep_their_share():
    optim = optimizer({}, {"lr": 0.1, "weight_decay": 0.0}, lr=0.4, weight_decay=0.2)
    schedules = [
        CosineSchedule(optim, final=0.04, **STEPS),
        CosineSchedule(optim, key="weight_decay", final=0.8, **STEPS),
    ]
    rates = walk(optim, schedules, 21, "lr")
    curve = [Curve(0.4, 0.04, 20)(step) for step in range(21)]
    np.testing.assert_allclose(rates, [curve, np.array(curve) / 4], rtol=1e-12)
    assert [group["weight_decay"] for group in optim.param_groups] == [pytest.approx(0.8), 0.0]


def test_the_highest_group_may_have_a_part_of_the_rate_itself():
    optim = optimizer({"lr_mult": 0.5, "lr": 0.2}, {"lr_mult": 0.25, "lr": 0.1})
    rates = walk(optim, [CosineSchedule(optim, final=0.04, **STEPS)], 21, "lr")
    assert rates[:, 0].tolist() == pytest.approx([0.2, 0.1])
    assert rates[:, -1].tolist() == pytest.approx([0.02, 0.01])


def test_a_schedule_shorter_or_longer_than_the_run():
    short = optimizer({}, lr=1.0)
    rates = walk(short, [CosineSchedule(short, final=0.1, epochs=2, **STEPS)], 20, "lr")[0]
    assert rates[10:].tolist() == pytest.approx([0.1] * 10)
    long = optimizer({}, lr=1.0)
    rates = walk(long, [CosineSchedule(long, final=0.0, epochs=8, **STEPS)], 21, "lr")[0]
    assert rates[20] == pytest.approx(0.5)


def test_state_is_restored_exactly():
    optim, again = optimizer({}, lr=0.3), optimizer({}, lr=0.3)
    whole = walk(optim, [CosineSchedule(optim, warmup_epochs=1, **STEPS)], 20, "lr")
    half = CosineSchedule(again, warmup_epochs=1, **STEPS)
    walk(again, [half], 13, "lr")
    fresh = optimizer({}, lr=0.3)
    resumed = CosineSchedule(fresh, warmup_epochs=1, **STEPS)
    fresh.load_state_dict(again.state_dict())
    resumed.load_state_dict(half.state_dict())
    assert walk(fresh, [resumed], 7, "lr").tolist() == whole[:, 13:].tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": "momentum"}, "param_scheduler.key: got 'momentum'; give lr or weight_decay"),
        ({"final": -1.0}, "param_scheduler.final: got -1.0"),
        ({"warmup_epochs": -1.0}, "param_scheduler.warmup_epochs: got -1.0"),
        ({"total_steps": None}, "the number of steps is unknown"),
    ],
)
def test_unusable_values_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        CosineSchedule(optimizer({}), **{**STEPS, **changes})


def test_a_last_layer_without_gradients_keeps_its_moments_too():
    groups = [{"lr_mult": 1.0, "wd_mult": 1.0}, {"is_last_layer": True, "lr_mult": 1.0}]
    optim = optimizer(*groups, lr=0.1, weight_decay=0.04)
    first, last = (group["params"][0] for group in optim.param_groups)
    guard = GuardedOptimWrapper(optim)
    rates = CosineSchedule(
        guard, final=0.0, last_layer_frozen_epochs=1, last_layer_frozen_by="gradient", **STEPS
    )
    curve = Curve(0.1, 0.0, 20)
    for step in range(8):
        assert [group["lr"] for group in optim.param_groups] == [curve(step)] * 2
        before = last.item()
        guard.update_params((first + last - 1.0).sum())
        assert (last.item() == before) == (step < 5)
        # moments begin with the first gradient: DINOv2's rate of 0 would let them run from step 0
        assert (last in optim.state) == (step >= 5)
        rates.step()
    assert optim.state[first]["step"] == 8
    assert optim.state[last]["step"] == 3


def test_how_a_last_layer_is_frozen_is_known():
    with pytest.raises(ConfigError, match="give rate or gradient"):
        CosineSchedule(optimizer({}, lr=0.1), last_layer_frozen_by="will", **STEPS)
