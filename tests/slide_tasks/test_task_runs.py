"""Whole runs of slide-level tasks: what they leave, how they choose, how they resume."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
import torch
from resuming.processes import Order, start
from resuming.recipes import resolved
from safetensors import safe_open

from gigakit.core.errors import CheckpointError, ConfigError
from gigakit.engine.checkpoint import find_resume, list_checkpoints, load_checkpoint
from gigakit.engine.evaluate import evaluate
from gigakit.engine.train import train


def changes(cohort, columns=("label",), **more):
    features, table = cohort
    return {
        "features": str(features), "labels": str(table), "target.columns": list(columns),
        "default_hooks.checkpoint.interval_steps": 3, "default_hooks.checkpoint.keep": 9, **more,
    }  # fmt: skip


def rows_of(path):
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


BEST = {
    "default_hooks.best": {
        "type": "BestWeightsHook", "metric": "slides/cross_entropy", "better": "less",
    },
}  # fmt: skip
# tiles tell nothing of grades, so what is learnt in training is wrong elsewhere
OVERFITTING = {
    "train_cfg.epochs": 5,
    "param_scheduler": None,
    "optim_wrapper.optimizer.lr": 3e-3,
    "model.aggregator.dropout": 0.0,
}


@pytest.fixture(scope="module")
def chosen(cohort, tmp_path_factory):
    """Return a run that keeps its best weights, and its changes."""
    folder = tmp_path_factory.mktemp("chosen") / "run"
    made = changes(cohort, ["grade"], **BEST, **OVERFITTING)
    train(resolved("tasks/abmil", made), work_dir=folder)
    return folder, made


def test_predictions_are_of_val_and_test_by_the_best_weights(chosen):
    folder, made = chosen
    rows = rows_of(folder / "predictions.csv")
    assert list(rows[0]) == [
        "slide_id", "patient_id", "split", "label_grade", "probability_0", "probability_1",
        "probability_2",
    ]  # fmt: skip
    assert [row["split"] for row in rows] == ["val"] * 4 + ["test"] * 4
    validations = [
        row["val/slides/cross_entropy"]
        for row in map(json.loads, (folder / "scalars.jsonl").read_text().splitlines())
        if "val/slides/cross_entropy" in row
    ]
    assert validations[-1] > min(validations)
    with safe_open(folder / "best.safetensors", "pt") as file:
        told = file.metadata()
    assert float(told["value"]) == pytest.approx(min(validations))
    assert int(told["step"]) == 12 * (1 + validations.index(min(validations)))
    # the file of the run and a later evaluation agree
    found = evaluate(_values(made), folder, out=folder / "again.csv", split="val", device="cpu")
    assert found.scores["cross_entropy"] == pytest.approx(min(validations))
    again = rows_of(folder / "again.csv")
    assert again == rows[:4]


def _values(made):
    from gigakit.config import load_config

    return load_config("tasks/abmil", preset=made).values


def test_the_last_checkpoint_keeps_the_last_weights(chosen):
    folder, _ = chosen
    last = load_checkpoint(find_resume(folder))["state_dict"]
    with safe_open(folder / "best.safetensors", "pt") as file:
        assert file.keys() == list(dict(sorted(last.items())))
        assert any(not torch.equal(file.get_tensor(name), last[name]) for name in last)


def test_a_run_resumed_in_the_middle_ends_the_same(cohort, tmp_path):
    """Leftovers, shuffled tiles, dropout and the best weights included."""
    made = changes(
        cohort,
        **{
            "target.kind": None, **BEST, "optim_wrapper.accumulative_counts": 5,
            "train_cfg.epochs": 3,
        },
    )  # fmt: skip
    values = resolved("tiny/slide_task", made)
    whole, part = tmp_path / "whole", tmp_path / "part"
    train(values, work_dir=whole)
    shutil.copytree(whole, part)
    for path in list_checkpoints(part)[:1]:
        path.unlink()
    assert find_resume(part).name == "step-00000003.pth"
    train(resolved("tiny/slide_task", made), work_dir=part, resume=True)
    one, other = (load_checkpoint(find_resume(run)) for run in (whole, part))
    assert all(torch.equal(one["state_dict"][k], other["state_dict"][k]) for k in one["state_dict"])
    assert (whole / "predictions.csv").read_text() == (part / "predictions.csv").read_text()


@pytest.mark.parametrize(
    ("recipe", "columns", "found", "metric"),
    [
        (
            "tasks/abmil", ["a", "b"],
            {"label_a", "label_b", "logit_a", "logit_b", "probability_a", "probability_b"},
            "slides/macro_auroc",
        ),
        ("tasks/abmil", ["burden"], {"label_burden", "value"}, "slides/r2"),
        (
            "tasks/survival", ["time", "event"],
            {"label_time", "label_event", "risk", "time", "event"}, "slides/c_index",
        ),
    ],
    ids=["multi-label", "regression", "survival"],
)  # fmt: skip
def test_other_labels_are_learnt_and_predicted(cohort, tmp_path, recipe, columns, found, metric):
    more = {"train_cfg.epochs": 12, "optim_wrapper.optimizer.lr": 2e-3}
    more |= {"train_dataloader.batch_size": 6}
    values = resolved(recipe, changes(cohort, columns, **more))
    result = train(values, work_dir=tmp_path)
    rows = rows_of(tmp_path / "predictions.csv")
    assert set(rows[0]) == {"slide_id", "patient_id", "split", *found}
    # what is easy to see in a tile in three is learnt
    assert result.metrics[metric] > 0.6
    assert result.last_loss < result.first_loss


def test_clam_stops_where_validation_gets_no_better(cohort, tmp_path):
    more = {"optim_wrapper.optimizer.lr": 0.0, "default_hooks.early_stop.patience": 2}
    result = train(resolved("tasks/clam", changes(cohort, **more)), work_dir=tmp_path)
    # with weights that stay, the first validation is the best: two more end the run of 200 epochs
    assert result.steps == 3 * 12


def test_a_table_without_validation_or_test_loses_their_loaders(cohort, tmp_path):
    features, table = cohort
    rows = rows_of(table)
    for row in rows:
        row["split"] = "train"
    path = tmp_path / "train.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    values = resolved("tasks/abmil", changes((features, path), **{"train_cfg.epochs": 1}))
    assert not any(key.startswith(("val_", "test_")) for key in values)
    train(values, work_dir=tmp_path / "run")
    assert not (tmp_path / "run" / "predictions.csv").exists()
    with pytest.raises(ConfigError, match="split 'val'"):
        train(
            resolved("tasks/abmil", changes((features, path), **BEST)),
            work_dir=tmp_path / "refused",
        )


def test_classes_are_balanced_by_their_training_slides(cohort):
    values = resolved(
        "tasks/abmil",
        changes(
            cohort, ["event"],
            **{"model.loss": {"type": "ClassificationLoss", "class_weights": "balanced"}},
        ),
    )  # fmt: skip
    # of twelve training slides, three without and nine with the event
    assert values["model"]["loss"]["class_weights"] == pytest.approx([12 / 6, 12 / 18])
    assert values["model"]["output_dim"] == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"labels": None}, "labels"),
        ({"target.columns": None}, "target.columns"),
        ({"target.columns": ["nothing"]}, "nothing"),
        ({"model.loss": {"type": "SurvivalLoss"}}, "is for survival"),
        ({"model.loss": {"type": "KoLeoLoss"}}, "is for other objectives"),
    ],
)
def test_what_a_recipe_lacks_is_told(cohort, more, message):
    with pytest.raises(ConfigError, match=message):
        resolved("tasks/abmil", {**changes(cohort), **more})


def test_all_other_columns_are_labels_of_a_multi_label_task(cohort):
    values = resolved(
        "tasks/pan_cancer_biomarkers",
        {**changes(cohort), "target.columns": None, "labels": str(_only_binary(cohort))},
    )
    assert values["train_dataloader"]["dataset"]["columns"] == ["a", "b"]
    assert values["model"]["output_dim"] == 2


def _only_binary(cohort):
    rows = rows_of(cohort[1])
    path = cohort[1].with_name("binary.csv")
    kept = ("slide_id", "patient_id", "split", "a", "b")
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, kept, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_weights_of_another_model_are_refused(chosen, cohort):
    folder, _ = chosen
    values = _values(changes(cohort, ["label"]))
    with pytest.raises(CheckpointError, match="not of this model"):
        evaluate(values, folder, device="cpu")


def test_two_processes_equal_one(cohort, tmp_path):
    """Without dropout, which is each rank's own; blocks without gradient included."""
    made = {
        "target.kind": None, "train_cfg.carry_leftovers": False, "train_cfg.epochs": 1,
        "model.aggregator.encoder.dropout": 0.0, "optim_wrapper.optimizer.lr": 1e-2,
        "param_scheduler": None,
    }  # fmt: skip
    values = resolved("tiny/slide_task", changes(cohort, **made))
    train(values, work_dir=tmp_path / "one")
    half = resolved(
        "tiny/slide_task", changes(cohort, **made, **{"optim_wrapper.accumulative_counts": 2})
    )
    start(Order(half, tmp_path / "two", tmp_path / "notes", counts_calls=False), 2).finish()
    one, two = (rows_of(tmp_path / run / "predictions.csv") for run in ("one", "two"))
    assert [row["slide_id"] for row in one] == [row["slide_id"] for row in two]
    for name in ("probability_benign", "probability_tumour"):
        found = [float(row[name]) for row in two]
        assert found == pytest.approx([float(row[name]) for row in one], abs=1e-4)
