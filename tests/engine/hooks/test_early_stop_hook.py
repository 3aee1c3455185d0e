"""Ending a run that no longer gets better."""

import pytest

from gigakit.core.errors import ConfigError
from gigakit.engine.checkpoint import list_checkpoints
from gigakit.engine.train import train

HOOK = {"type": "EarlyStopHook", "metric": "toy/error", "better": "greater", "patience": 2}
VALIDATING = {"train_cfg__val_interval_steps": 3, "train_cfg__epochs": 5}


def test_it_ends_after_patience_validations_and_keeps_the_last_step(toy, tmp_path):
    # the error falls, which is no gain here: best at step 3, then worse at 6 and 9
    result = train(toy.config(custom_hooks=[HOOK], **VALIDATING), work_dir=tmp_path)
    assert (result.status, result.steps) == ("done", 9)
    assert list_checkpoints(tmp_path)[0].name == "step-00000009.pth"
    steps = [row["step"] for row in toy.logged(tmp_path) if "val/toy/error" in row]
    assert steps == [3, 6, 9]
    assert "was not better than" in (tmp_path / "train.log").read_text()


def test_it_lets_a_run_that_gets_better_go_on(toy, tmp_path):
    better = {**HOOK, "better": "less"}
    assert train(toy.config(custom_hooks=[better], **VALIDATING), work_dir=tmp_path).steps == 25


def test_resumed_it_stops_at_the_same_step(toy, tmp_path):
    part = {**VALIDATING, "train_cfg__max_steps": 8, "train_cfg__val_at_end": False}
    train(toy.config(custom_hooks=[HOOK], **part), work_dir=tmp_path)
    result = train(toy.config(custom_hooks=[HOOK], **VALIDATING), work_dir=tmp_path, resume=True)
    assert result.steps == 9


def test_small_gains_count_only_above_min_delta(toy, tmp_path):
    hook = {**HOOK, "better": "less", "min_delta": 100.0}
    assert train(toy.config(custom_hooks=[hook], **VALIDATING), work_dir=tmp_path).steps == 9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "error"}, r"metric 'error'; known are names that begin with toy"),
        ({"metric": "toy/errors"}, r"metric 'toy/errors'; known are toy/error, toy/samples"),
        ({"better": "more"}, "better: got 'more'; give greater or less"),
        ({"patience": 0}, "patience: got 0"),
    ],
)
def test_what_cannot_be_watched_is_refused(toy, tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        train(toy.config(custom_hooks=[{**HOOK, **changes}], **VALIDATING), work_dir=tmp_path)


def test_a_run_without_validations_is_refused_at_once(toy, tmp_path):
    with pytest.raises(ConfigError, match="needs validations during training"):
        train(toy.config(custom_hooks=[HOOK]), work_dir=tmp_path)
