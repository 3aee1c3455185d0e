"""``gigakit ablate``: its flags, its plan, and what it refuses."""

from __future__ import annotations

import inspect
import json
import re

import pytest

from gigakit.ablation import probing
from gigakit.ablation.probing import CellCost
from gigakit.cli.ablate import Options
from gigakit.cli.ablate_flags import scan

FIXED = inspect.signature(Options, eval_str=True)
COST = {
    "parameters": 158_156, "steps": 20, "samples_per_step": 4, "flops_per_step": 1_234_000_000,
    "seconds_per_step": 0.05, "timed_steps": 3, "start_seconds": 1.0, "peak_memory_mb": 512.0,
    "peak_cuda_memory_mb": None, "device": "cpu", "notes": ["2 of 9 slides stand for the cohort"],
    "seconds": 5.0,
}  # fmt: skip


@pytest.fixture
def ablate(call, tmp_path, monkeypatch, feature_folder):
    """Return a function that runs the command in an empty folder, which has to stay empty."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments):
        features = ("--set", f"features={feature_folder}")
        result = call("ablate", "tiny/slide", *arguments, *features)
        assert not list((tmp_path / "empty").iterdir())
        return result

    return run


@pytest.mark.parametrize(
    ("line", "recipe", "overrides"),
    [
        ("", "gigapath_slide", []),
        ("tiny/slide --attention dilated", "tiny/slide", []),
        ("--attention dilated tiny/slide", "tiny/slide", []),
        ("--attention=dilated tiny/slide", "tiny/slide", []),
        ("--dry-run --resume --json --slurm tiny/slide --help", "tiny/slide", []),
        ("--dry-run tiny/slide", "tiny/slide", []),
        ("--json --attention dilated --resume tiny/slide", "tiny/slide", []),
        ("-h tiny/slide", "tiny/slide", []),
        ("--set a=b --cfg-options=c=d tiny/slide", "tiny/slide", ["a=b", "c=d"]),
        ("--seeds 3 -- tiny/slide", "tiny/slide", []),
        # a flag that is not known takes a value like all others
        ("--atention dilated tiny/slide", "tiny/slide", []),
    ],
)
def test_the_recipe_is_found_wherever_it_stands(line, recipe, overrides):
    assert scan(line.split(), FIXED, "gigapath_slide") == (recipe, overrides)


def test_help_lists_axes_and_kinds_under_their_own_heading(call):
    code, out, _ = call("ablate", "--help", "tiny/slide")
    assert code == 0
    own, kinds = out.partition("Axes of the recipe")[2].split("Registry kinds")
    for flag in ("--attention", "--mask-ratio", "--crop"):
        assert flag in own
    for flag in ("--segmenter", "--tiler", "--position", "--objective", "--loss", "--reader"):
        assert flag in kinds
    # lines are broken where columns end
    assert "dilated, flash, local" in " ".join(own.replace("│", " ").split())
    assert "OtsuSegmenter" in kinds
    assert "--mask-ratio" in call("ablate", "tiny/slide", "-h")[1]
    # without a recipe, those of the default one
    assert "--mask-ratio" in call("ablate", "--help")[1]
    assert "--sinkhorn" not in call("ablate", "--help")[1]


def test_an_axis_with_the_name_of_an_option_is_refused(call, tmp_path, repository):
    base = repository / "registry_configs" / "tiny" / "slide.py"
    (tmp_path / "own.py").write_text(
        f"_base_ = [{str(base)!r}]\n"
        "ablation = dict(seeds=dict(key='model.mask_ratio', values=[0.5]))\n"
    )
    code, _, err = call("ablate", str(tmp_path / "own.py"), "--help")
    assert code == 2
    assert "--seeds is an option of gigakit ablate; give the axis another name" in err


def test_a_plan_is_printed_as_json(ablate):
    code, out, err = ablate(
        "--attention", "dilated,local", "--axis", "model.encoder.depth=1,2", "--seeds", "2",
        "--mode", "one-at-a-time", "--dry-run", "--probe-steps", "0", "--json",
    )  # fmt: skip
    assert code == 0, err
    plan = json.loads(out)
    assert plan["axes"] == {
        "attention": ["model.encoder.attention"], "depth": ["model.encoder.depth"]
    }  # fmt: skip
    assert plan["baseline"] == "attention=dilated,depth=2"
    assert [run["cell"] for run in plan["runs"]][::2] == [
        "attention=dilated,depth=2", "attention=local,depth=2", "attention=dilated,depth=1",
    ]  # fmt: skip
    assert plan["costs"] == {}
    assert plan["seconds"] is None


@pytest.fixture
def costs(monkeypatch):
    """Replace the measuring by given costs of each cell."""

    def given(*costs):
        def probe(plan, **_):
            found = zip(plan.cells, costs, strict=True)
            return [CellCost(cell, *cost) for cell, cost in found]

        monkeypatch.setattr(probing, "probe_cells", probe)

    return given


def test_a_dry_run_shows_axes_costs_and_warnings(ablate, costs):
    costs(({**COST},), ({**COST, "parameters": 2_000_000},))
    code, out, err = ablate("--attention", "dilated,local", "--seeds", "3", "--dry-run")
    assert code == 0, err
    words = " ".join(re.sub(r"[│┃]", " ", out).split())
    assert (
        "attention model.encoder.attention dilated: DilatedAttention local: LocalAttention" in words
    )
    assert "2 cells x 3 seeds = 6 runs, 1 at a time" in words
    assert "attention=dilated * 20 158 k 1.23 G 0.05 512 0:00:05" in words
    assert "attention=local 20 2 M" in words
    assert "total: about 0:00:30 for what is not finished" in words
    assert "2 of 9 slides stand for the cohort." in words
    assert "warning: cells differ in trained parameters (158156, 2000000)" in words
    assert "data: the same in all cells" in words


def test_a_dry_run_of_a_cell_that_cannot_run_fails(ablate, costs):
    costs((COST,), ({}, "no GPU"))
    code, out, err = ablate("--attention", "dilated,local", "--dry-run", "--jobs", "2")
    assert code == 1
    assert "cannot run" in out
    assert "warning: attention=local cannot run: no GPU" in out
    assert "total: unknown" in out
    assert err.splitlines()[-1] == (
        "error: tiny/slide: 1 of 2 cells cannot run; the warnings say why"
    )


def test_cells_come_from_a_list(ablate, tmp_path):
    (tmp_path / "cells.txt").write_text("attention=local\nmask_ratio=0.5\n")
    plan = ("--dry-run", "--probe-steps", "0", "--json", "--list", str(tmp_path / "cells.txt"))
    code, out, err = ablate(*plan, "--baseline", "local")
    assert code == 0, err
    assert json.loads(out)["baseline"] == "attention=local,mask_ratio=0.75"
    code, _, err = ablate(*plan, "--mask-ratio", "0.5")
    assert (code, "leave out the axes" in err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--attention", "dilatd"),
            "--attention: 'dilatd' is not a value of this axis; did you mean",
        ),
        (("--segmenter", "OtsuSegmentr"), "did you mean 'OtsuSegmenter'"),
        (("--attention", "dilated", "--mode", "list"), "add --list FILE"),
        (("--attention", ""), "no value is given"),
        (("--attention", "dilated", "--attention", "dilated"), "'dilated' is named twice"),
        (("--attention", "dilated", "--baseline", "flash"), "--baseline: no cell is 'flash'"),
        (("--attention", "dilated", "--resume"), "holds no ablation to resume"),
        (("--attention", "dilated", "--gpus", "99"), "no GPU 99"),
        (("--attention", "dilated", "--slurm", "--gpus", "0"), "gpus_per_node=1"),
        (("--attention", "dilated", "--slurm-option", "a=b"), "add --slurm"),
        (("--mask-ratio", "0.5,half"), "mask_ratio"),
        (("--tiler", "GridTiler,RandomTiler"), "nothing is prepared"),
        ((), "try --attention"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(ablate, arguments, message):
    code, out, err = ablate(*arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize("flag", ["--atention", "--segmentr", "--dry-rum", "--seed"])
def test_a_misspelt_flag_is_refused_with_what_is_near(ablate, flag):
    code, _, err = ablate(flag, "dilated")
    assert code == 2
    assert "No such option" in err
    meant = {"--atention": "--attention", "--segmentr": "--segmenter", "--seed": "--seeds"}
    assert meant.get(flag, "--dry-run") in err
