"""An ablation on disk, without any training."""

from __future__ import annotations

import dataclasses
import itertools
import json

import pytest

from gigakit.ablation.axes import choose, recipe_axes
from gigakit.ablation.plan import Plan, Run, make_plan
from gigakit.config import load_config


@pytest.fixture(scope="session")
def grid(feature_folder, tmp_path_factory):
    """Return a plan of two attentions, two mask ratios and two seeds."""
    axes = recipe_axes(load_config("tiny/slide").values)
    return make_plan(
        "tiny/slide",
        [choose(axes["attention"], "dilated,flash"), choose(axes["mask_ratio"], "0.5,0.75")],
        overrides=[f"features={feature_folder}"], seeds=2, out=tmp_path_factory.mktemp("plan"),
    )  # fmt: skip


@pytest.fixture
def plan(grid, tmp_path):
    """Return the plan of two attentions, two mask ratios and two seeds, in a folder of its own."""
    return dataclasses.replace(grid, out=tmp_path / "out", baseline=grid.runs[0].cell)


@pytest.fixture
def three_seeds(grid, tmp_path):
    """Return a plan of two attentions and three seeds."""
    runs = [
        dataclasses.replace(run, cell=f"attention={label}", labels={"attention": label}, seed=seed)
        for label, run in (("dilated", grid.runs[0]), ("flash", grid.runs[4]))
        for seed in range(3)
    ]  # fmt: skip
    keys = {"attention": grid.keys["attention"]}
    return dataclasses.replace(
        grid,
        out=tmp_path / "three",
        keys=keys,
        runs=tuple(runs),
        baseline="attention=dilated",
    )


@pytest.fixture
def vary(grid, tmp_path):
    """Return a function that plans an ablation of any keys on the sample, two seeds."""

    def make(**values):
        runs = []
        for chosen in itertools.product(*values.values()):
            pairs = dict(zip(values, chosen, strict=True))
            labels = {key.rpartition("__")[2]: str(value) for key, value in pairs.items()}
            cell = ",".join(f"{name}={label}" for name, label in labels.items())
            overrides = tuple(f"{key.replace('__', '.')}={value!r}" for key, value in pairs.items())
            runs += [Run(cell, labels, seed, overrides, f"{cell}{seed}") for seed in range(2)]
        keys = {key.rpartition("__")[2]: (key.replace("__", "."),) for key in values}
        return Plan(grid.recipe, grid.name, tmp_path / "vary", keys, tuple(runs))

    return make


@pytest.fixture
def finish():
    """Return a function that leaves in a run's folder what training would."""
    return _finish


def _finish(
    plan, run, r2, *, steps=20, parameters=1000, status="done", notes=("shared",), metrics=None,
    downstream=None, reason=None, loss=0.5, cpu_seconds=8.0,
):  # fmt: skip
    folder = plan.out / run.folder
    folder.mkdir(parents=True, exist_ok=True)
    start(plan, run, steps=steps, r2=r2)
    reconstruction = {
        f"reconstruction/{name}": value
        for name, value in {
            "r2": r2, "cosine": 0.9, "r2_mean": -0.1, "cosine_mean": 0.8, "r2_nearest": 0.2,
            "cosine_nearest": 0.85,
        }.items()
    }  # fmt: skip
    metrics = reconstruction if metrics is None else metrics
    result = {
        "status": status, "reason": reason, "metrics": metrics, "first_loss": 2.0,
        "last_loss": loss, "steps": steps, "parameters": parameters, "seconds": 4.0,
        "cpu_seconds": cpu_seconds, "peak_memory_mb": 100.0, "skipped_steps": 0,
        "notes": list(notes), "downstream": downstream or {},
    }  # fmt: skip
    (folder / "result.json").write_text(json.dumps(result))


@pytest.fixture
def begin():
    """Return a function that leaves in a run's folder what a run that goes on has there."""
    return start


def start(plan, run, *, steps, r2=0.0):
    folder = plan.out / run.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps({"digest": run.digest}))
    rows = [
        {
            "step": step, "train/loss": 2.0 / step, "perf/steps_per_second": 5.0,
            "perf/tflops_per_second": 0.01,
        }
        for step in range(1, steps + 1)
    ]  # fmt: skip
    rows.append({"step": steps, "val/reconstruction/r2": r2})
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    # the last line is half written where a run goes on
    (folder / "scalars.jsonl").write_text(lines + '{"step": 99')
