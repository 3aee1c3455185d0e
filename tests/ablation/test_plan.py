"""Plans, what is finished, and plans read back."""

from __future__ import annotations

import dataclasses
import shutil

import pytest

from gigakit.ablation.axes import choose, recipe_axes
from gigakit.ablation.execution import is_finished, run_plan
from gigakit.ablation.plan import make_plan
from gigakit.ablation.stored_plan import is_ablation, read_plan
from gigakit.config import load_config
from gigakit.core.errors import ConfigError, WorkDirError


def test_a_plan_crosses_axes_and_seeds(plan):
    assert len(plan.runs) == 8
    assert plan.runs[0].folder == "attention=dilated,mask_ratio=0.5/seed0"
    assert plan.runs[-1].labels == {"attention": "flash", "mask_ratio": "0.75"}
    assert "randomness.seed=1" in plan.runs[1].overrides
    assert len({run.digest for run in plan.runs}) == 8


def test_the_folder_is_that_of_the_settings_not_of_the_axes(tmp_path, feature_folder):
    axes = recipe_axes(load_config("tiny/slide").values)

    def folder(labels, *overrides):
        return make_plan(
            "tiny/slide", [choose(axes["attention"], labels)],
            overrides=[f"features={feature_folder}", *overrides],
        ).out  # fmt: skip

    assert folder("dilated") == folder("dilated,flash")
    assert folder("dilated") != folder("dilated", "model.mask_ratio=0.9")


def test_on_the_sample_several_branches_act():
    axes = recipe_axes(load_config("gigapath_slide").values)
    plan = make_plan("gigapath_slide", [choose(axes["attention"], "dilated,flash")])
    loaded = load_config("gigapath_slide", plan.runs[0].overrides)
    assert loaded.values["preparation"]["tiler"]["overlap"] > 0
    assert loaded.values["model"]["encoder"]["attention"]["segment_lengths"][2] < 100
    own = make_plan(
        "gigapath_slide", [choose(axes["attention"], "dilated")],
        overrides=["preparation.tiler.overlap=0.25", "cohort=slides.csv"],
    )  # fmt: skip
    loaded = load_config("gigapath_slide", own.runs[0].overrides)
    assert loaded.values["preparation"]["tiler"]["overlap"] == 0.25
    assert loaded.values["model"]["encoder"]["attention"]["segment_lengths"][0] == 1024


def test_a_cell_that_cannot_be_built_is_refused_before_any_runs(tmp_path):
    axes = recipe_axes(load_config("tiny/slide").values)
    with pytest.raises(ConfigError, match="mask_ratio"):
        make_plan("tiny/slide", [choose(axes["mask_ratio"], "0.5,half")], out=tmp_path)
    with pytest.raises(ConfigError, match="no axis"):
        make_plan("tiny/slide", [], out=tmp_path)


def test_a_run_counts_as_finished_only_if_it_is_this_very_run(plan, finish):
    run = plan.runs[0]
    finish(plan, run, 0.1, status="interrupted")
    assert not is_finished(plan.out / run.folder, run)
    finish(plan, run, 0.1)
    assert is_finished(plan.out / run.folder, run)
    assert not is_finished(plan.out / run.folder, plan.runs[1])


def test_finished_runs_are_skipped_and_foreign_folders_refused(plan, finish):
    for run in plan.runs:
        finish(plan, run, 0.1)
    lines = []
    assert run_plan(plan, announce=lines.append) == []
    assert len(lines) == 8
    assert all("skipped" in line for line in lines)
    (plan.out / plan.runs[3].folder / "run.json").write_text('{"digest": "other"}')
    with pytest.raises(WorkDirError, match="run of other settings"):
        run_plan(plan, announce=lines.append)


def test_a_plan_is_read_back_from_its_folder_wherever_it_lies(plan, tmp_path):
    plan = dataclasses.replace(plan, baseline="attention=flash,mask_ratio=0.5")
    plan.write()
    assert read_plan(plan.out) == plan
    moved = tmp_path / "moved"
    shutil.move(plan.out, moved)
    assert is_ablation(moved)
    assert not is_ablation(plan.out)
    assert read_plan(moved) == dataclasses.replace(plan, out=moved)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"runs": [1]}', '{"runs": [], "axes": {}, "recipe": "x"}']
)
def test_a_damaged_plan_is_one_error(tmp_path, text):
    with pytest.raises(ConfigError, match=r"no plan\.json"):
        read_plan(tmp_path)
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(ConfigError, match="plan"):
        read_plan(tmp_path)
