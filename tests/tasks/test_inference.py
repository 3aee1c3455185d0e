"""Devices, precisions and progress of frozen encoders."""

from __future__ import annotations

import pytest
import torch

from gigakit.core.errors import ConfigError
from gigakit.tasks import inference as module
from gigakit.tasks.inference import Progress, choose_device, choose_precision, inference


def test_the_precision_follows_the_device():
    assert choose_precision("auto", torch.device("cuda")) == "fp16"
    assert choose_precision("auto", torch.device("cpu")) == "fp32"
    assert choose_precision("auto", torch.device("mps")) == "fp32"
    assert choose_precision("bf16", torch.device("cpu")) == "bf16"
    with pytest.raises(ConfigError, match="precision: is 'fp8'"):
        choose_precision("fp8", torch.device("cpu"))


def test_devices():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device(None).type in ("cpu", "cuda", "mps")
    for missing in ("quantum", "cuda:99"):
        with pytest.raises(ConfigError, match=f"device {missing}: cannot be used"):
            choose_device(missing)


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_products_are_computed_in_the_precision(precision, dtype):
    layer = torch.nn.Linear(4, 4)
    with inference(torch.device("cpu"), precision):
        out = layer(torch.ones(2, 4))
    assert out.dtype == dtype
    assert out.is_inference()


def test_a_long_slide_says_now_and_then_how_far_it_is(monkeypatch):
    seconds = iter(range(0, 1000, 10))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(seconds)))
    lines = []
    progress = Progress(lines.append, "a", 40)
    for _ in range(4):
        progress.advance(10)
    # every 15 s at most, and not when it is done
    assert lines == ["a: 20 of 40 tiles, 1 s a tile, 0 min left"]


def test_memory_is_kept_where_it_is_asked_for_and_on_cpus_alone(monkeypatch):
    calls = []
    monkeypatch.setattr(module, "keep_freed_blocks", lambda: calls.append("keep"))
    monkeypatch.setattr(module, "return_large_blocks", lambda: calls.append("return"))
    for device, keep in (("cpu", True), ("cpu", False), ("meta", True)):
        with inference(torch.device(device), "fp32", keep_memory=keep):
            pass
    assert calls == ["keep", "return", "return"]
