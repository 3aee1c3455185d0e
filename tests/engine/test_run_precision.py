"""What a run's forward pass computes in."""

from __future__ import annotations

import types

import pytest
import torch
from mmengine.device import get_device

from gigakit.engine.run_precision import as_in_steps, compute_dtype


@pytest.mark.parametrize(
    ("precision", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)]
)
def test_hooks_compute_as_the_steps_do(precision, dtype):
    wrapper = types.SimpleNamespace(precision=precision)
    assert compute_dtype(wrapper) == dtype
    ones = torch.ones(2, 2, device=get_device())
    with as_in_steps(types.SimpleNamespace(optim_wrapper=wrapper)):
        assert (ones @ ones).dtype == dtype
    assert (ones @ ones).dtype == torch.float32


def test_an_optimiser_that_tells_no_precision_has_float32():
    assert compute_dtype(object()) == torch.float32
