"""Pictures and resumed runs in TensorBoard's files."""

import shutil
import time

import numpy as np
import pytest
from mmengine.hooks import Hook
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer.record_writer import RecordWriter

from gigakit.engine.train import train


class PictureHook(Hook):
    def after_val_epoch(self, runner, metrics=None):
        runner.visualizer.add_image("toy/picture", np.zeros((5, 7, 3), np.uint8), step=runner.iter)


def test_pictures_go_to_the_runs_own_folder(toy, tmp_path):
    changed = toy.config(train_cfg__max_steps=2, custom_hooks=[PictureHook()])
    train(changed, work_dir=tmp_path)
    (event,) = EventAccumulator(str(tmp_path)).Reload().Images("toy/picture")
    assert (event.step, event.width, event.height) == (2, 7, 5)


@pytest.mark.parametrize("lost", ["step-00000006.pth", "step-*.pth"])
def test_a_resumed_run_shows_each_step_once(toy, tmp_path, lost):
    """Also where no checkpoint is left and it begins anew."""
    values = toy.config(log_interval=1, interval=4)
    train({**values, "train_cfg": {**values["train_cfg"], "max_steps": 6}}, work_dir=tmp_path)
    for path in (tmp_path / "checkpoints").glob(lost):
        path.unlink()
    train(values, work_dir=tmp_path, resume=True)
    assert len(list(tmp_path.glob("events.*"))) == 2
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == list(range(1, 26))


class CopyHook(Hook):
    """Copy the events as they lie when the checkpoint of step 4 is written."""

    priority = "LOWEST"

    def __init__(self, target):
        self.target = target

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if batch_idx + 1 == 4:
            assert (runner.work_path / "last_checkpoint").is_file()
            (source,) = runner.work_path.glob("events.*")
            shutil.copy(source, self.target)


def test_what_a_checkpoint_follows_is_in_the_file_before_it(toy, tmp_path, monkeypatch):
    """The writer's thread lags behind, as on a slow file system."""
    write = RecordWriter.write
    monkeypatch.setattr(
        RecordWriter, "write", lambda self, data: (time.sleep(0.02), write(self, data))
    )
    copied = tmp_path / "copied"
    copied.mkdir()
    values = toy.config(log_interval=1, interval=4, custom_hooks=[CopyHook(copied)])
    values["train_cfg"]["max_steps"] = 5
    train(values, work_dir=tmp_path / "run")
    events = EventAccumulator(str(copied)).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3, 4]
