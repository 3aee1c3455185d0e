"""What a plan will cost, from the costs of its cells."""

from __future__ import annotations

import pytest

from gigakit.ablation.axes import choose, free_axis, recipe_axes
from gigakit.ablation.plan import make_plan
from gigakit.ablation.probing import CellCost, cost_warnings, estimate_seconds, probe_cells
from gigakit.config import load_config


@pytest.fixture
def plan(tmp_path, feature_folder):
    axes = recipe_axes(load_config("tiny/slide").values)
    return make_plan(
        "tiny/slide", [choose(axes["attention"], "dilated,local")],
        overrides=[f"features={feature_folder}", "train_cfg.max_steps=2"], seeds=3,
        out=tmp_path / "out",
    )  # fmt: skip


def cost(cell, seconds=1.0, **more):
    entries = {"parameters": 10, "steps": 2, "samples_per_step": 4, "seconds": seconds}
    return CellCost(cell, {**entries, **more})


def test_the_total_is_that_of_the_runs_side_by_side(plan):
    first, second = plan.cells
    costs = [cost(first, 10.0), cost(second, 4.0)]
    assert estimate_seconds(plan, costs, 1) == 42
    # 10 + 10, and 10 + 3 x 4
    assert estimate_seconds(plan, costs, 2) == 22
    assert estimate_seconds(plan, costs[:1], 1) is None
    assert estimate_seconds(plan, [], 1) is None


def test_what_makes_cells_unequal_is_told(plan):
    first, second = plan.cells
    assert cost_warnings([cost(first), cost(second)]) == []
    warnings = cost_warnings(
        [cost(first, parameters=11), cost(second, steps=3), CellCost("c", reason="no")]
    )
    assert warnings == [
        "c cannot run: no",
        "cells differ in trained parameters (11, 10)",
        "the budgets are not equal: cells differ in steps (2, 3)",
    ]


def test_cells_are_measured_and_one_that_cannot_run_is_told(tmp_path, feature_folder, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    plan = make_plan(
        "tiny/slide", [choose(free_axis("model.encoder.heads=1")[0], "4,7")],
        overrides=[f"features={feature_folder}", "custom_hooks=[]"], out=tmp_path / "out",
    )  # fmt: skip
    told = []
    # the check of the config cannot know what a width is divided by
    good, bad = probe_cells(plan, probe_steps=1, announce=told.append)
    assert told == ["[1/2] probing heads=4", "[2/2] probing heads=7"]
    assert (good.cell, good.reason) == ("heads=4", "")
    assert good.cost["parameters"] > 100_000
    assert good.cost["flops_per_step"] > 1e7
    assert good.cost["seconds"] > good.cost["steps"] * good.cost["seconds_per_step"] > 0
    assert good.cost["timed_steps"] == 1
    assert bad.cost == {}
    assert "heads" in bad.reason
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty"]
    assert not list((tmp_path / "empty").iterdir())
    assert probe_cells(plan, probe_steps=0) == []
