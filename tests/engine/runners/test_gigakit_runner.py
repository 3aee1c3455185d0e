"""What the runner makes of a config."""

from gigakit.config.positions import DEFAULT_HOOKS
from gigakit.engine.train import train


def test_every_run_has_the_default_hooks_and_a_recipe_changes_one(toy, tmp_path, monkeypatch):
    from gigakit.engine.runners.gigakit_runner import GigakitRunner

    seen = []
    monkeypatch.setattr(GigakitRunner, "close", lambda runner: seen.append(runner))  # noqa: PLW0108
    changed = {
        "checkpoint": None,
        "progress": {"interval_steps": 7},
        "signals": {"priority": "LOW"},
    }
    train(toy.config(train_cfg__max_steps=1, default_hooks=changed), work_dir=tmp_path)
    hooks = {type(hook).__name__: hook for hook in seen[0].hooks}
    assert set(hooks) == set(DEFAULT_HOOKS.values()) - {"SafeCheckpointHook"}
    assert hooks["ProgressHook"].interval_steps == 7
    assert hooks["SignalHook"].priority == "LOW"
