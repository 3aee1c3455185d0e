"""Pictures and resumed runs in TensorBoard's files."""

import numpy as np
from mmengine.hooks import Hook
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gigakit.engine.train import train


class PictureHook(Hook):
    def after_val_epoch(self, runner, metrics=None):
        runner.visualizer.add_image("toy/picture", np.zeros((5, 7, 3), np.uint8), step=runner.iter)


def test_pictures_go_to_the_runs_own_folder(toy, tmp_path):
    changed = toy.config(train_cfg__max_steps=2, custom_hooks=[PictureHook()])
    train(changed, work_dir=tmp_path)
    (event,) = EventAccumulator(str(tmp_path)).Reload().Images("toy/picture")
    assert (event.step, event.width, event.height) == (2, 7, 5)


def test_a_resumed_run_shows_each_step_once(toy, tmp_path):
    values = toy.config(log_interval=1, interval=4)
    train({**values, "train_cfg": {**values["train_cfg"], "max_steps": 6}}, work_dir=tmp_path)
    (tmp_path / "checkpoints" / "step-00000006.pth").unlink()
    train(values, work_dir=tmp_path, resume=True)
    assert len(list(tmp_path.glob("events.*"))) == 2
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == list(range(1, 26))
