"""Stopping in the middle of a validation."""

import os
import signal

import pytest
from mmengine.hooks import Hook

from gigakit.core.errors import InterruptedRunError
from gigakit.engine.checkpoint import list_checkpoints
from gigakit.engine.train import train


class SignalInValidation(Hook):
    priority = "VERY_HIGH"

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 1:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_validation_is_cut_short_and_its_steps_are_kept(toy, finished, tmp_path):
    changed = toy.config(train_cfg__val_interval_steps=7, custom_hooks=[SignalInValidation()])
    with pytest.raises(InterruptedRunError, match="SIGINT after step 7"):
        train(changed, work_dir=tmp_path)
    assert list_checkpoints(tmp_path)[0].name == "step-00000007.pth"
    assert train(toy.config(), work_dir=tmp_path, resume=True).steps == 25
    assert toy.digest(tmp_path) == toy.digest(finished)
