"""Memory is kept while the run lasts, on CPUs."""

import logging
import types

import pytest
import torch

from gigakit.engine.hooks import keep_memory_hook as module
from gigakit.engine.hooks.keep_memory_hook import KeepMemoryHook
from gigakit.engine.train import train

RUNNER = types.SimpleNamespace(model=torch.nn.Linear(1, 1))


@pytest.fixture
def calls(monkeypatch):
    made = []
    monkeypatch.setattr(module, "keep_freed_blocks", lambda: made.append("keep") or True)
    monkeypatch.setattr(module, "return_kept_blocks", lambda: made.append("return"))
    return made


def test_it_holds_for_the_run_alone(calls):
    hook = KeepMemoryHook()
    hook.before_run(RUNNER)
    assert calls == ["keep"]
    hook.after_run(RUNNER)
    hook.close()
    assert calls == ["keep", "return"]


def test_a_run_that_fails_gives_its_memory_back(calls, toy, tmp_path, monkeypatch):
    values = toy.config(custom_hooks=[{"type": "KeepMemoryHook"}], train_cfg__max_steps=2)

    def fail(*_, **__):
        assert calls == ["keep"]
        raise RuntimeError("broken")

    monkeypatch.setattr(toy.ToyObjective, "forward", fail)
    with pytest.raises(RuntimeError, match="broken"):
        train(values, work_dir=tmp_path)
    assert calls == ["keep", "return"]


def test_what_could_not_be_set_is_said_and_left(calls, monkeypatch, caplog):
    monkeypatch.setattr(module, "keep_freed_blocks", lambda: False)
    hook = KeepMemoryHook()
    with caplog.at_level(logging.INFO):
        hook.before_run(RUNNER)
    hook.close()
    assert "as the C library or the environment has it" in caplog.text
    assert calls == []


def test_a_gpu_run_is_left_alone(calls):
    KeepMemoryHook().before_run(types.SimpleNamespace(model=torch.nn.Linear(1, 1, device="meta")))
    assert calls == []
