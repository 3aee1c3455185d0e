"""What befalls a run's folder: a full disk, no permission, a move, a longer plan."""

import errno
import json
import math
import os
import pickle
import shutil
import tempfile

import pytest
import torch
from resuming.comparison import differences, left_by
from resuming.processes import Order, start
from resuming.recipes import resolved

from gigakit.core.errors import CheckpointError
from gigakit.engine.checkpoint import find_resume, list_checkpoints
from gigakit.engine.train import train


@pytest.fixture(scope="module")
def values(feature_folder):
    changes = {
        "features": str(feature_folder),
        "train_cfg.epochs": 20,
        "train_cfg.max_steps": 6,
        "default_hooks.checkpoint.interval_steps": 3,
        "model.encoder.width": 16,
        "model.decoder.width": 16,
    }
    return resolved("tiny/slide", changes)


def order(values, folder, name, **more):
    return Order(values, folder / "run", folder / name, counts_calls=False, **more)


def test_a_full_disk_ends_the_run_and_spares_the_checkpoints(values, tmp_path):
    start(order(values, tmp_path, "whole")).finish()
    newest = list_checkpoints(tmp_path / "run")[0]
    whole = left_by(tmp_path / "run")
    full = ("full", {"bytes": newest.stat().st_size // 2})
    newest.unlink()
    run = start(order(values, tmp_path, "full", resume=True, fault=full))
    assert run.wait() == [1]
    (said,) = (line for line in run.stderr().splitlines() if line.startswith("error"))
    assert "step-00000006.pth: could not be written with" in said
    assert "the checkpoint before it is kept" in said
    held = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert held == ["step-00000003.pth"]
    start(order(values, tmp_path, "again", resume=True)).finish()
    assert list(differences(whole, left_by(tmp_path / "run"))) == []


def test_a_folder_that_cannot_be_written_ends_the_run_at_once(toy, tmp_path, monkeypatch):
    train(toy.config(train_cfg__max_steps=4, param_scheduler=None), work_dir=tmp_path)
    before = left_by(tmp_path)

    def refuse(*args, dir=None, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(dir))

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(OSError, match="Read-only file system"):
        train(toy.config(), work_dir=tmp_path, resume=True)
    assert list(differences(before, left_by(tmp_path))) == []


@pytest.mark.parametrize("pointer", [None, "", "checkpoints/step-00000099.pth\n", "\x00\x00"])
def test_a_moved_folder_with_a_damaged_pointer_is_resumed(toy, finished, tmp_path, pointer):
    train(toy.config(train_cfg__max_steps=9, param_scheduler=None), work_dir=tmp_path / "before")
    moved = tmp_path / "elsewhere" / "after"
    shutil.move(tmp_path / "before", moved)
    (moved / "last_checkpoint").unlink()
    if pointer is not None:
        (moved / "last_checkpoint").write_text(pointer)
    result = train(
        toy.config(train_cfg__max_steps=14, param_scheduler=None), work_dir=moved, resume=True
    )
    assert result.steps == 14
    assert (moved / "last_checkpoint").read_text() == "checkpoints/step-00000014.pth\n"
    log = (moved / "train.log").read_text()
    assert "resumed after step 9, from step-00000009.pth" in log


def test_a_prolonged_run_goes_on_where_it_ended(toy, tmp_path):
    """Without a schedule, which knows the end, it equals the run that was long from the start."""
    plan = toy.config(param_scheduler=None, log_interval=1)
    train({**plan, "train_cfg": {"type": "PretrainLoop", "epochs": 2}}, work_dir=tmp_path / "two")
    train(plan, work_dir=tmp_path / "two", resume=True)
    train(plan, work_dir=tmp_path / "one")
    rows = [left_by(tmp_path / name)["scalars.jsonl"] for name in ("one", "two")]
    trained = [[row for row in run if "train/loss" in row] for run in rows]
    assert list(differences(*trained)) == []
    assert toy.digest(tmp_path / "one") == toy.digest(tmp_path / "two")


def test_a_schedule_of_a_prolonged_run_follows_the_new_plan(toy, tmp_path):
    train(toy.config(epochs=2), work_dir=tmp_path)
    train(toy.config(epochs=4, log_interval=1), work_dir=tmp_path, resume=True)
    rates = {row["step"]: row["train/lr"] for row in rows_of(tmp_path) if "train/lr" in row}
    # 5 steps of warm-up, then a cosine to the 20th step; the first step's rate was set before
    assert rates[12] == pytest.approx(1e-2 * (1 + math.cos(math.pi * 6 / 15)) / 2)


def rows_of(folder):
    return [json.loads(line) for line in (folder / "scalars.jsonl").read_text().splitlines()]


def test_a_newest_checkpoint_that_needs_code_is_refused(toy, tmp_path):
    train(toy.config(train_cfg__max_steps=4, param_scheduler=None), work_dir=tmp_path)
    newest = find_resume(tmp_path)
    torch.save({**torch.load(newest, weights_only=True), "hook": pickle.Pickler}, newest)
    with pytest.raises(CheckpointError, match=r"need code to load.*Pickler"):
        train(toy.config(), work_dir=tmp_path, resume=True)
