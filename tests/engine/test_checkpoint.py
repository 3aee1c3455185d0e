"""Checkpoint files: whole, verified, plain; weights into another model."""

import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gigakit.core.errors import CheckpointError
from gigakit.engine.archive import to_plain
from gigakit.engine.checkpoint import (
    find_damage,
    find_resume,
    list_checkpoints,
    load_checkpoint,
    save_checkpoint,
)
from gigakit.engine.init_from import init_from


def state(value=1.0):
    return {"state_dict": {"w": torch.full((64,), value)}, "meta": {"iter": 3, "lr": np.float64(2)}}


def test_round_trip_keeps_values_bit_for_bit(tmp_path):
    saved = save_checkpoint(state(1 / 3), tmp_path, 3)
    loaded = load_checkpoint(saved)
    assert torch.equal(loaded["state_dict"]["w"], torch.full((64,), 1 / 3))
    assert loaded["meta"] == {"iter": 3, "lr": 2.0}


def test_newest_are_kept_and_named_by_a_relative_pointer(tmp_path):
    for step in (2, 4, 10):
        save_checkpoint(state(), tmp_path, step, keep=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == [
        "step-00000010.pth",
        "step-00000004.pth",
    ]
    assert (tmp_path / "last_checkpoint").read_text() == "checkpoints/step-00000010.pth\n"
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert find_resume(moved) == moved / "checkpoints/step-00000010.pth"


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_newest_is_reported_and_the_one_before_used(tmp_path, caplog, damage):
    before, newest = (save_checkpoint(state(float(step)), tmp_path, step) for step in (1, 2))
    data = bytearray(newest.read_bytes())
    if damage == "flipped":
        data[data.index(torch.full((64,), 2.0).numpy().tobytes()) + 7] ^= 1
    newest.write_bytes({"truncated": data[:500], "flipped": data, "empty": b""}[damage])
    assert find_damage(newest) is not None
    assert find_resume(tmp_path) == before
    assert "damaged" in caplog.text
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(newest)


def test_a_damaged_checkpoint_of_a_later_step_pushes_out_no_sound_one(tmp_path):
    """Resumed from step 4, as that of step 8 is damaged, then stopped by a signal at step 6."""
    save_checkpoint(state(), tmp_path, 4, keep=1)
    damaged = save_checkpoint(state(), tmp_path, 8, keep=2)
    damaged.write_bytes(b"PK half")
    newest = save_checkpoint(state(), tmp_path, 6, keep=1)
    assert find_resume(tmp_path) == newest
    assert (tmp_path / "last_checkpoint").read_text() == "checkpoints/step-00000006.pth\n"
    assert list_checkpoints(tmp_path) == [newest]


def test_no_checkpoint_is_no_resume(tmp_path):
    assert find_resume(tmp_path) is None


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    before = save_checkpoint(state(), tmp_path, 1, keep=1)
    monkeypatch.setattr(torch, "save", lambda value, path: path.write_bytes(b"PK half"))
    with pytest.raises(CheckpointError, match="did not read back"):
        save_checkpoint(state(), tmp_path, 2, keep=1)
    assert list_checkpoints(tmp_path) == [before]
    assert sorted(path.name for path in before.parent.iterdir()) == [before.name]


def test_values_that_need_code_are_refused_both_ways(tmp_path):
    with pytest.raises(CheckpointError, match=r"checkpoint\.hook: a Linear would need code"):
        to_plain({"hook": nn.Linear(1, 1)})
    path = tmp_path / "foreign.pth"
    torch.save({"state_dict": {}, "code": pickle.Pickler}, path)
    with pytest.raises(CheckpointError, match="would need code to load"):
        load_checkpoint(path)


def net(width=4):
    return nn.Sequential(*(nn.Linear(width, width) for _ in range(5)), nn.Linear(width, 2))


def test_init_from_reports_and_loads(tmp_path):
    source, target = net(), net()
    weights = source.state_dict()
    weights["extra"] = torch.zeros(1)
    weights["5.weight"] = torch.zeros(3, 4)
    save_file(weights, tmp_path / "w.safetensors")
    report = init_from(target, tmp_path / "w.safetensors")
    assert str(report) == "11 tensors matched, 0 missing, 1 unexpected, 1 of another shape"
    assert report.mismatched == ("5.weight",)
    assert torch.equal(target[0].weight, source[0].weight)
    assert report.fraction == pytest.approx(11 / 12)


def test_init_from_refuses_too_little_and_touches_nothing(tmp_path):
    target = net()
    before = {name: value.clone() for name, value in target.state_dict().items()}
    torch.save({"state_dict": {"module.0.weight": torch.ones(4, 4)}}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"1 tensors matched, 11 missing.*90%"):
        init_from(target, tmp_path / "w.pth")
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())
    assert init_from(target, tmp_path / "w.pth", min_fraction=0.05).matched == ("0.weight",)
    assert torch.equal(target[0].weight, torch.ones(4, 4))


@pytest.mark.parametrize("name", ["gone.pth", "gone.safetensors"])
def test_init_from_a_missing_file_is_an_error(tmp_path, name):
    with pytest.raises(CheckpointError, match="no such file"):
        init_from(net(), tmp_path / name)
