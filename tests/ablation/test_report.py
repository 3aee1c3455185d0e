"""Plans, finished cells and the table."""

from __future__ import annotations

import json

import pytest

from gigakit.ablation.axes import choose, recipe_axes
from gigakit.ablation.execution import is_finished, run_plan
from gigakit.ablation.plan import make_plan
from gigakit.ablation.report import collect, header, table_rows, write_report
from gigakit.config import load_config
from gigakit.core.errors import ConfigError, WorkDirError


@pytest.fixture
def plan(tmp_path, feature_folder):
    axes = recipe_axes(load_config("tiny/slide").values)
    return make_plan(
        "tiny/slide",
        [choose(axes["attention"], "dilated,flash"), choose(axes["mask_ratio"], "0.5,0.75")],
        overrides=[f"features={feature_folder}"],
        seeds=2,
        out=tmp_path / "out",
    )


def finish(
    plan, run, r2, *, steps=20, parameters=1000, status="done", notes=("shared",), metrics=None
):
    folder = plan.out / run.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps({"digest": run.digest}))
    reconstruction = {
        f"reconstruction/{name}": value
        for name, value in {
            "r2": r2, "cosine": 0.9, "r2_mean": -0.1, "cosine_mean": 0.8, "r2_nearest": 0.2,
            "cosine_nearest": 0.85,
        }.items()
    }  # fmt: skip
    metrics = reconstruction if metrics is None else metrics
    result = {
        "status": status, "metrics": metrics, "first_loss": 2.0, "last_loss": 0.5, "steps": steps,
        "parameters": parameters, "seconds": 4.0, "cpu_seconds": 8.0, "peak_memory_mb": 100.0,
        "notes": list(notes),
    }  # fmt: skip
    (folder / "result.json").write_text(json.dumps(result))


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


def test_the_table_has_quality_cost_spread_and_baselines(plan):
    for number, run in enumerate(plan.runs[:4]):
        finish(plan, run, 0.1 * number)
    rows = table_rows(collect(plan))
    assert rows[0][:3] == ("attention=dilated,mask_ratio=0.5", "2", "0.0500 ± 0.0707")
    assert rows[0][5:] == ("0.0 M", "20", "0.200", "8", "100")
    assert rows[2][:3] == ("attention=flash,mask_ratio=0.5", "0", "not run")
    assert rows[-1][0] == "baseline: nearest visible tile"
    assert rows[-1][2] == "0.2000"
    assert header(collect(plan))[:5] == ("cell", "n", "R²", "cosine", "last loss")


def test_the_columns_are_what_the_runs_measured(plan):
    for number, run in enumerate(plan.runs[:4]):
        linear = {"probe/linear_balanced_accuracy": 0.9} if number > 1 else {}
        metrics = {"probe/knn_balanced_accuracy": 0.1 * number, "probe/knn_accuracy": 0.5}
        finish(plan, run, 0.0, metrics=metrics | linear)
    rows = collect(plan)
    assert header(rows)[:5] == ("cell", "n", "k-NN", "linear", "last loss")
    assert [row[2:4] for row in table_rows(rows)] == [
        ("0.0500 ± 0.0707", "n/a"), ("0.2500 ± 0.0707", "0.9000 ± 0.0000"),
        ("not run", ""), ("not run", ""),
    ]  # fmt: skip
    text = write_report(plan, ["gigakit"])
    assert "balanced accuracies of frozen embeddings" in text
    assert "knn_accuracy" in (plan.out / "results.csv").read_text().splitlines()[0]


def test_without_a_measure_the_loss_is_shown_and_told_apart(plan):
    finish(plan, plan.runs[0], 0.0, metrics={})
    rows = collect(plan)
    assert header(rows)[:3] == ("cell", "n", "last loss")
    assert table_rows(rows)[0][:3] == ("attention=dilated,mask_ratio=0.5", "1 of 2", "0.5000")
    assert "labelled tiles give a probe" in write_report(plan, ["gigakit"])


def test_the_report_says_what_makes_cells_unequal(plan):
    finish(plan, plan.runs[0], 0.1, notes=("shared", "own"))
    finish(plan, plan.runs[2], 0.2, steps=30, parameters=2000, notes=("shared",))
    text = write_report(plan, ["gigakit", "ablate", "a b"])
    assert "Cells differ in parameters" in text
    assert "budgets are not equal" in text
    assert "All cells: shared." in text
    assert "mask_ratio=0.5: own." in text
    assert "Not finished: attention=dilated,mask_ratio=0.5, seed 1" in text
    assert "`gigakit ablate 'a b'`" in text
    assert (plan.out / "table.md").read_text() == text
    assert len((plan.out / "results.csv").read_text().splitlines()) == 9
    stored = json.loads((plan.out / "results.json").read_text())
    assert stored["runs"][0]["r2"] == 0.1


def test_a_run_counts_as_finished_only_if_it_is_this_very_run(plan):
    run = plan.runs[0]
    finish(plan, run, 0.1, status="interrupted")
    assert not is_finished(plan.out / run.folder, run)
    finish(plan, run, 0.1)
    assert is_finished(plan.out / run.folder, run)
    assert not is_finished(plan.out / run.folder, plan.runs[1])


def test_finished_runs_are_skipped_and_foreign_folders_refused(plan):
    for run in plan.runs:
        finish(plan, run, 0.1)
    lines = []
    assert run_plan(plan, announce=lines.append) == []
    assert len(lines) == 8
    assert all("skipped" in line for line in lines)
    (plan.out / plan.runs[3].folder / "run.json").write_text('{"digest": "other"}')
    with pytest.raises(WorkDirError, match="run of other settings"):
        run_plan(plan, announce=lines.append)
