"""When checkpoints are written."""

from types import SimpleNamespace

import pytest

from gigakit.core.errors import ConfigError
from gigakit.engine.hooks.checkpoint_hook import SafeCheckpointHook


def saved_steps(hook, last):
    saved = []
    runner = SimpleNamespace(
        max_iters=last, save_training_state=lambda step, *, keep: saved.append((step, keep))
    )
    for step in range(last):
        hook.after_train_iter(runner, step)
    return saved


def test_interval_and_last_step_each_once():
    assert saved_steps(SafeCheckpointHook(interval_steps=4, keep=3), 8) == [(4, 3), (8, 3)]
    assert saved_steps(SafeCheckpointHook(interval_steps=4), 9) == [(4, 2), (8, 2), (9, 2)]
    assert saved_steps(SafeCheckpointHook(interval_steps=None), 9) == [(9, 2)]


@pytest.mark.parametrize("wrong", [{"interval_steps": 0}, {"keep": 0}])
def test_counts_under_one_are_refused(wrong):
    with pytest.raises(ConfigError, match="got 0"):
        SafeCheckpointHook(**wrong)
