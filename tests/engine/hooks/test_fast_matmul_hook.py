"""The faster kernels hold for the run, and only where they are precise."""

import logging
import types

import pytest
import torch

from gigakit.engine.hooks import fast_matmul_hook as module
from gigakit.engine.hooks.fast_matmul_hook import FastMatmulHook, relative_error
from gigakit.engine.train import train

RUNNER = types.SimpleNamespace(model=torch.nn.Linear(1, 1))


@pytest.fixture(autouse=True)
def unchanged():
    before = torch.get_float32_matmul_precision()
    yield
    assert torch.get_float32_matmul_precision() == before


def test_it_holds_for_the_run_alone():
    before = torch.get_float32_matmul_precision()
    hook = FastMatmulHook()
    hook.before_run(RUNNER)
    assert torch.get_float32_matmul_precision() == "medium"
    assert relative_error() < 2e-5
    hook.after_run(RUNNER)
    assert torch.get_float32_matmul_precision() == before


def test_imprecise_kernels_are_not_taken(monkeypatch, caplog):
    monkeypatch.setattr(module, "relative_error", lambda: 1e-2)
    before = torch.get_float32_matmul_precision()
    with caplog.at_level(logging.INFO):
        FastMatmulHook().before_run(RUNNER)
    assert torch.get_float32_matmul_precision() == before
    assert "err by 1.0e-02 here" in caplog.text


def test_a_run_that_fails_leaves_no_trace(toy, tmp_path, monkeypatch):
    values = toy.config(custom_hooks=[{"type": "FastMatmulHook"}], train_cfg__max_steps=2)

    def fail(*_, **__):
        assert torch.get_float32_matmul_precision() == "medium"
        raise RuntimeError("broken")

    monkeypatch.setattr(toy.ToyObjective, "forward", fail)
    with pytest.raises(RuntimeError, match="broken"):
        train(values, work_dir=tmp_path)
