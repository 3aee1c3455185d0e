"""One whole run: what it writes, and what its numbers mean."""

import json
import logging
import runpy

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gigakit.core.errors import CheckpointError, ConfigError, InterruptedRunError
from gigakit.engine.checkpoint import list_checkpoints, load_checkpoint
from gigakit.engine.train import train


def read_scalars(folder):
    lines = (folder / "scalars.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_result_tells_what_the_run_came_to(finished):
    result = json.loads((finished / "result.json").read_text())
    assert result["status"] == "done"
    assert result["steps"] == 25
    assert result["last_loss"] < result["first_loss"]
    assert result["metrics"]["toy/samples"] == 10
    assert result["parameters"] == 132
    assert result["notes"] == ["toy"]
    assert result["checkpoint"] == "checkpoints/step-00000025.pth"
    assert result["seconds"] > 0
    assert result["cpu_seconds"] > 0
    assert result["peak_memory_mb"] > 100


def test_a_run_is_one_folder_without_time_stamps(finished):
    names = {path.name for path in finished.iterdir() if not path.name.startswith("events.")}
    assert names == {
        ".lock",
        "checkpoints",
        "config.py",
        "environment.json",
        "last_checkpoint",
        "result.json",
        "scalars.jsonl",
        "train.log",
    }


def test_config_is_saved_once_and_runnable(finished, toy):
    assert runpy.run_path(str(finished / "config.py"))["train_cfg"] == toy.config()["train_cfg"]


def test_tensorboard_events_lie_in_the_folder_on_the_iteration_axis(finished):
    assert len(list(finished.glob("events.*"))) == 1
    events = EventAccumulator(str(finished)).Reload()
    tags = set(events.Tags()["scalars"])
    assert {"train/loss", "train/lr", "train/grad_norm", "val/toy/error"} <= tags
    assert {"perf/steps_per_second", "perf/samples_per_second", "perf/data_wait_share"} <= tags
    assert all(tag.split("/")[0] in ("train", "val", "perf") for tag in tags)
    assert [event.step for event in events.Scalars("train/loss")] == [1, 5, 10, 15, 20, 25]
    assert [event.step for event in events.Scalars("val/toy/error")] == [25]
    assert events.Tags()["tensors"] == ["config/text_summary"]


def test_logged_loss_is_the_mean_of_the_interval(finished, toy, tmp_path):
    every = train(toy.config(log_interval=1), work_dir=tmp_path / "every")
    losses = [row["train/loss"] for row in read_scalars(tmp_path / "every") if "train/loss" in row]
    means = [row["train/loss"] for row in read_scalars(finished) if "train/loss" in row]
    assert every.steps == len(losses) == 25
    assert means[0] == losses[0]
    assert means[1] == pytest.approx(sum(losses[1:5]) / 4)
    assert means[2] == pytest.approx(sum(losses[5:10]) / 5)


def test_screen_shows_banner_and_progress_not_mmengines_tables(toy, tmp_path, capfd):
    train(toy.config(), work_dir=tmp_path / "run", banner=["recipe      toy"])
    out, err = capfd.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert lines[0] == "recipe      toy"
    assert lines.index(next(line for line in lines if line.startswith("step 1/25"))) <= 10
    assert lines[-1].startswith("validation at step 25")
    assert "deprecated" not in err
    assert len(lines) < 20


def test_checkpoints_load_without_code_and_old_ones_go(finished):
    found = list_checkpoints(finished)
    assert [path.name for path in found] == ["step-00000025.pth", "step-00000024.pth"]
    state = torch.load(found[0], weights_only=True)
    assert state["meta"]["iter"] == 25
    assert set(state["message_hub"]["log_scalars"]["train/loss"]) == {"values", "counts"}
    assert (finished / "last_checkpoint").read_text() == "checkpoints/step-00000025.pth\n"


def test_init_from_starts_at_step_zero_with_the_weights(finished, toy, tmp_path):
    first = list_checkpoints(finished)[0]
    changed = toy.config(train_cfg__max_steps=1, optim_wrapper__optimizer__lr=0.0)
    result = train(changed, work_dir=tmp_path / "run", init_from=first)
    weights = load_checkpoint(list_checkpoints(tmp_path / "run")[0])["state_dict"]
    assert result.steps == 1
    for name, value in load_checkpoint(first)["state_dict"].items():
        assert torch.equal(weights[name], value), name
    assert "7 tensors matched" in (tmp_path / "run" / "train.log").read_text()


def test_resuming_another_model_is_an_error(finished, toy, tmp_path):
    target = tmp_path / "run"
    train(toy.config(train_cfg__max_steps=2), work_dir=target)
    path = list_checkpoints(target)[0]
    state = load_checkpoint(path)
    del state["state_dict"]["cls_token"]
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"another model.*cls_token"):
        train(toy.config(), work_dir=target, resume=True)
    assert json.loads((target / "result.json").read_text())["status"] == "failed"


def test_an_interrupted_run_says_so_in_its_result(toy, tmp_path):
    changed = toy.config(custom_hooks=[{"type": "KillHook", "step": 7, "number": 15}])
    with pytest.raises(InterruptedRunError) as caught:
        train(changed, work_dir=tmp_path / "run")
    assert caught.value.exit_code == 143
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["status"], result["steps"]) == ("interrupted", 7)
    assert result["checkpoint"] == "checkpoints/step-00000007.pth"


def test_a_config_that_cannot_be_built_is_a_failed_run(toy, tmp_path):
    logger = logging.getLogger("gigakit")
    before = logger.handlers, logger.level, logger.propagate
    with pytest.raises(ConfigError, match=r"train_cfg\.epochs"):
        train(toy.config(train_cfg__epochs=0), work_dir=tmp_path)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["status"] == "failed"
    assert "train_cfg.epochs" in result["reason"]
    assert (logger.handlers, logger.level, logger.propagate) == before


def test_bf16_trains_on_this_device_close_to_fp32(finished, toy, tmp_path):
    half = train(toy.config(optim_wrapper__precision="bf16"), work_dir=tmp_path / "run")
    full = json.loads((finished / "result.json").read_text())
    assert half.last_loss != full["last_loss"]
    assert half.last_loss == pytest.approx(full["last_loss"], rel=0.05)
