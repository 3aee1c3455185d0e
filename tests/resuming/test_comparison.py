"""The comparison that the exact-resume tests rest on."""

from __future__ import annotations

import math

import pytest
import torch
from resuming.comparison import differences


def run(**changes):
    left = {
        "weights": {"w": torch.tensor([1.0, 0.0, math.nan])},
        "rows": [{"step": 1, "train/loss": 0.1, "perf/steps_per_second": 3.0}],
        "lr": math.nan,
        "spent": [1.0],
    }
    return {**left, **changes}


def test_equal_runs_have_no_difference_whatever_their_speed():
    other = run(spent=[2.0], rows=[{"step": 1, "train/loss": 0.1, "perf/peak_memory_mb": 1.0}])
    assert list(differences(run(), other)) == []


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"weights": {"w": torch.tensor([1.0, -0.0, math.nan])}}, "run.weights.w differs"),
        ({"weights": {"w": torch.tensor([1.0 + 2**-23, 0.0, math.nan])}}, "run.weights.w differs"),
        ({"weights": {"w": torch.zeros(3, dtype=torch.float64)}}, "run.weights.w differs"),
        ({"weights": {}}, "run.weights.w is in the first run alone"),
        ({"lr": 0.0}, "run.lr differs"),
        ({"rows": [{"step": 1, "train/loss": 0.1 + 2**-56}]}, "run.rows[0].train/loss differs"),
        ({"rows": [*run()["rows"], {"step": 2}]}, "run.rows has 1 entries"),
    ],
)
def test_one_bit_or_one_row_is_a_difference(changes, where):
    (found,) = differences(run(), run(**changes))
    assert found.startswith(where)
