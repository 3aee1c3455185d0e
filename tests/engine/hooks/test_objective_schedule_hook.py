"""Numbers of the objective that change with the step."""

import pytest
import torch

from gigakit.core.errors import ConfigError
from gigakit.engine.hooks.objective_schedule_hook import _is_number
from gigakit.engine.schedules.curve import Curve
from gigakit.engine.train import train

# 5 epochs of 5 steps
HOOK = {
    "type": "ObjectiveScheduleHook", "key": "blocks.0.2.p", "base": 0.4, "final": 0.1,
    "warmup_epochs": 1, "warmup_start": 0.2,
}  # fmt: skip


def test_each_step_has_the_value_of_the_curve(toy, tmp_path):
    train(toy.config(custom_hooks=[HOOK], log_interval=1), work_dir=tmp_path)
    curve = Curve(0.4, 0.1, 25, warmup_steps=5, warmup_start=0.2)
    found = [
        row["train/blocks.0.2.p"] for row in toy.logged(tmp_path) if "train/blocks.0.2.p" in row
    ]
    assert found == [curve(step) for step in range(25)]


def test_it_changes_the_run_and_a_resumed_one_goes_on_exactly(toy, finished, tmp_path):
    whole, part = tmp_path / "whole", tmp_path / "part"
    train(toy.config(custom_hooks=[HOOK]), work_dir=whole)
    train(toy.config(custom_hooks=[HOOK], train_cfg__max_steps=25), work_dir=part)
    for path in (part / "checkpoints").glob("*25.pth"):
        path.unlink()
    train(toy.config(custom_hooks=[HOOK]), work_dir=part, resume=True)
    assert toy.digest(part) == toy.digest(whole) != toy.digest(finished)


def test_a_constant_and_a_short_schedule(toy, tmp_path):
    short = {**HOOK, "warmup_epochs": 0, "epochs": 2}
    train(toy.config(custom_hooks=[short], log_interval=1), work_dir=tmp_path / "short")
    rows = [row for row in toy.logged(tmp_path / "short") if "train/loss" in row]
    assert [row["train/blocks.0.2.p"] for row in rows[10:]] == [0.1] * 15
    constant = {"type": "ObjectiveScheduleHook", "key": "blocks.0.2.p", "base": 0.4}
    train(toy.config(custom_hooks=[constant]), work_dir=tmp_path / "constant")
    assert {row.get("train/blocks.0.2.p", 0.4) for row in toy.logged(tmp_path / "constant")} == {
        0.4
    }


def test_what_is_not_set_yet_can_be_scheduled():
    # as a temperature of patches, which is that of class tokens until it is set
    model = torch.nn.Module()
    model.own, model.head = None, None
    model.register_module("absent", None)
    assert _is_number(model, "own")
    model.own = 0.5
    assert _is_number(model, "own")
    assert not _is_number(model, "absent")
    assert not _is_number(model, "training")
    assert not _is_number(None, "own")


@pytest.mark.parametrize("key", ["momentum", "blocks.7.p", "blocks.0.2.training", "blocks"])
def test_an_objective_without_that_number_is_refused_before_the_first_step(toy, tmp_path, key):
    with pytest.raises(ConfigError, match=f"ToyObjective has no number '{key}'"):
        train(toy.config(custom_hooks=[{**HOOK, "key": key}]), work_dir=tmp_path)
