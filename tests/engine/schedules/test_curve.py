"""The curve against the published schedules, value by value."""

import json
import math

import numpy as np
import pytest

from gigakit.core.errors import ConfigError
from gigakit.engine.schedules.curve import Curve, epochs_to_steps

NAMES = {
    "base_value": "base",
    "final_value": "final",
    "total_iters": "total_steps",
    "warmup_iters": "warmup_steps",
    "start_warmup_value": "warmup_start",
    "freeze_iters": "frozen_steps",
}


def values(curve, steps):
    return np.array([curve(step) for step in range(steps)])


@pytest.mark.parametrize("name", ["lr", "wd", "momentum", "teacher_temp", "lr_frozen"])
def test_it_is_dinov2s(shared, name):
    settings = json.loads((shared / "reference/ssl/schedules.json").read_text())["configs"][name]
    expected = np.load(shared / "reference/ssl/schedules.npz")[f"{name}_full"]
    curve = Curve(**{NAMES[key]: value for key, value in settings.items()})
    np.testing.assert_allclose(values(curve, len(expected)), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("name", "curve"),
    [
        ("lr", {"base": 0.001, "final": 1e-6, "warmup_steps": 22}),
        ("wd", {"base": 0.04, "final": 0.4}),
        ("mom", {"base": 0.996, "final": 1.0}),
    ],
)
def test_it_is_ibots(shared, name, curve):
    expected = np.load(shared / "reference/ssl/ibot_original_schedules.npz")[name]
    found = values(Curve(total_steps=len(expected), **curve), len(expected))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=0)


def test_its_corners():
    curve = Curve(
        base=1.0, final=0.2, total_steps=20, warmup_steps=5, warmup_start=0.5, frozen_steps=3
    )
    assert values(curve, 3).tolist() == [0, 0, 0]
    assert values(curve, 9)[3:].tolist() == [0.5, 0.625, 0.75, 0.875, 1.0, 1.0]
    assert curve(19) == pytest.approx(0.2 + 0.4 * (1 + math.cos(11 * math.pi / 12)))
    assert [curve(20), curve(1000)] == [0.2, 0.2]
    assert values(Curve(3.0, 3.0, 10, warmup_steps=1, warmup_start=1.0), 12).tolist() == [
        1,
        *[3] * 11,
    ]


def test_epochs_are_rounded_and_never_negative():
    assert epochs_to_steps(1.5, 7, "x") == 10
    with pytest.raises(ConfigError, match="x: got -1"):
        epochs_to_steps(-1, 7, "x")
