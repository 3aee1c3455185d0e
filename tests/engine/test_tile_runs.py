"""Runs of the tile recipe: its teacher, its probe, its pictures and monitors."""

from __future__ import annotations

import json
import math

import cv2
import numpy as np
import pytest
import torch
from contracts.tiles import VIEWS
from resuming.comparison import differences, left_by
from resuming.recipes import resolved
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gigakit.engine.checkpoint import find_resume, load_checkpoint
from gigakit.engine.train import train
from gigakit.ssl.objectives.self_distillation import SelfDistillation

SMALL = {
    **VIEWS,
    "model.encoder.image_size": 32,
    "model.encoder.patch_size": 8,
    "model.encoder.width": 24,
    "train_cfg.max_steps": 4,
    "default_hooks.scalars.interval_steps": 1,
}


@pytest.fixture(scope="module")
def configured(labelled_tiles):
    """Return a function that returns a short run on drawn tiles as a resolved config."""

    def values(**changes):
        return resolved("tiny/tile", {"tiles": str(labelled_tiles), **SMALL, **changes})

    return values


def logged(folder):
    return [json.loads(line) for line in (folder / "scalars.jsonl").read_text().splitlines()]


@pytest.fixture
def moves(monkeypatch):
    """Return the momenta that the teacher has been moved with, as it goes on."""
    found = []
    follow = SelfDistillation.follow_student

    def counted(self):
        found.append(self.momentum)
        follow(self)

    monkeypatch.setattr(SelfDistillation, "follow_student", counted)
    return found


def test_the_teacher_moves_once_a_step_whatever_its_batches(configured, moves, tmp_path):
    train(configured(**{"optim_wrapper.accumulative_counts": 2}), work_dir=tmp_path)
    momenta = [row["train/momentum"] for row in logged(tmp_path) if "train/momentum" in row]
    assert len(momenta) == len(set(momenta)) == 4
    assert moves == momenta


def test_the_teacher_stays_where_a_step_is_skipped(configured, moves, monkeypatch, tmp_path):
    loss, calls, teachers = SelfDistillation._loss, [], []

    def broken(self, *given):
        calls.append(1)
        teachers.append(self.teacher.head.last_layer.weight_v.clone())
        factor = math.nan if len(calls) == 3 else 1.0
        return {name: value * factor for name, value in loss(self, *given).items()}

    monkeypatch.setattr(SelfDistillation, "_loss", broken)
    result = train(configured(), work_dir=tmp_path)
    assert (result.steps, result.skipped_steps) == (4, 1)
    momenta = [row["train/momentum"] for row in logged(tmp_path)]
    assert moves == [momenta[0], momenta[1], momenta[3]]
    # as the first forward pass after each step sees it
    assert not torch.equal(teachers[1], teachers[2])
    assert torch.equal(teachers[2], teachers[3])


def test_recomputed_activations_change_nothing(configured, tmp_path):
    again = {"type": "DataParallelModel", "activation_checkpointing": True}
    for name, wrapper in (("kept", None), ("recomputed", again)):
        train({**configured(), "model_wrapper_cfg": wrapper}, work_dir=tmp_path / name)
    assert list(differences(left_by(tmp_path / "kept"), left_by(tmp_path / "recomputed"))) == []


@pytest.fixture(scope="module")
def watched(configured, labelled_tiles, tmp_path_factory):
    """Return the folder of a run with everything that looks at it, validated twice."""
    folder = tmp_path_factory.mktemp("watched")
    values = configured(
        labelled={"root": str(labelled_tiles), "table": str(labelled_tiles / "labels.csv")},
        **{
            "train_cfg.max_steps": 12,
            "train_cfg.val_interval_steps": 6,
            "custom_hooks": [
                {"type": "LossSpikeHook", "window_steps": 20},
                {"type": "CollapseHook", "interval_steps": 6},
                {"type": "ViewPictureHook", "tiles": 3},
                {"type": "FeaturePictureHook", "tiles": 4},
            ],
            "val_evaluator.linear": True,
        },
    )
    return train(values, work_dir=folder), folder


def test_the_probe_of_labelled_tiles_is_logged(watched):
    result, folder = watched
    names = {"knn_accuracy", "knn_balanced_accuracy", "rankme", "linear_balanced_accuracy"}
    rows = {row["step"]: row for row in logged(folder) if "val/probe/rankme" in row}
    assert list(rows) == [6, 12]
    for row in rows.values():
        assert {f"val/probe/{name}" for name in names} <= row.keys()
        assert 0 <= row["val/probe/knn_accuracy"] <= 1
        assert row["val/probe/rankme"] >= 1
    assert {f"probe/{name}" for name in names} <= result.metrics.keys()
    assert result.metrics["probe/rankme"] == rows[12]["val/probe/rankme"]
    events = EventAccumulator(str(folder)).Reload()
    assert [event.step for event in events.Scalars("val/probe/knn_accuracy")] == [6, 12]


def test_monitors_are_logged_beside_it(watched):
    _, folder = watched
    health = [row for row in logged(folder) if "health/feature_std" in row]
    assert [row["step"] for row in health] == [6, 12]
    for row in health:
        assert 0 < row["health/prototype_entropy"] < 1 + 1e-6
        assert 0 < row["health/target_entropy"] < 1 + 1e-6
        assert 1 <= row["health/effective_rank"] <= 24
    spikes = [row["train/loss_spikes"] for row in logged(folder) if "train/loss_spikes" in row]
    assert spikes == [0] * 12


def picture(folder, tag):
    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload().Images(tag)
    return {
        event.step: cv2.imdecode(
            np.frombuffer(event.encoded_image_string, np.uint8), cv2.IMREAD_COLOR
        )
        for event in events
    }


def test_views_and_patches_are_shown(watched):
    _, folder = watched
    (views,) = picture(folder, "tile/views").values()
    # a row a tile: two global crops of 32 px, two local ones of 16, 4 px after each
    assert views.shape == (3 * 36, 2 * 36 + 2 * 20, 3)
    # patches of 8 px under a mask are grey
    grey = [
        (views[y : y + 8, x : x + 8] == 128).all()
        for row in range(3)
        for crop in range(2)
        for y in range(36 * row, 36 * row + 32, 8)
        for x in range(36 * crop, 36 * crop + 32, 8)
    ]
    assert 4 <= sum(grey) < len(grey)
    patches = picture(folder, "tile/patches")
    assert list(patches) == [6, 12]
    assert patches[12].shape == (2 * 164, 4 * 164, 3)
    assert len(np.unique(patches[12][164:].reshape(-1, 3), axis=0)) > 3


def test_a_jump_of_the_loss_is_told(configured, monkeypatch, tmp_path):
    loss, calls = SelfDistillation._loss, []

    def jumping(self, *given):
        calls.append(1)
        factor = 50.0 if len(calls) == 24 else 1.0
        return {name: value * factor for name, value in loss(self, *given).items()}

    monkeypatch.setattr(SelfDistillation, "_loss", jumping)
    values = configured(
        **{
            "train_cfg.max_steps": 26,
            "train_cfg.epochs": 3,
            "custom_hooks": [{"type": "LossSpikeHook", "window_steps": 20}],
        }
    )
    train(values, work_dir=tmp_path)
    lines = [line for line in (tmp_path / "train.log").read_text().splitlines() if "jumped" in line]
    assert len(lines) == 1
    assert "step 24: the loss jumped to" in lines[0]
    assert "draws 92 to 95" in lines[0]
    assert logged(tmp_path)[-1]["train/loss_spikes"] == 1


def test_a_run_goes_on_with_its_teacher(configured, tmp_path):
    train(configured(**{"train_cfg.max_steps": 2}), work_dir=tmp_path)
    state = load_checkpoint(find_resume(tmp_path))["state_dict"]
    student, teacher = (
        {k.removeprefix(f"{who}."): v for k, v in state.items() if k.startswith(f"{who}.")}
        for who in ("student", "teacher")
    )
    assert student.keys() == teacher.keys()
    assert not torch.equal(student["head.last_layer.weight_v"], teacher["head.last_layer.weight_v"])
    assert {"targets.cls.center", "targets.patches.center"} <= state.keys()
