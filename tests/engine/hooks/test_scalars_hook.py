"""Two files, one set of numbers."""

import json
import math

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gigakit.engine.train import train


def in_jsonl(folder):
    """Return every scalar as ``{(tag, step): value}``."""
    rows = [json.loads(line) for line in (folder / "scalars.jsonl").read_text().splitlines()]
    return {
        (tag, row["step"]): math.nan if value is None else value
        for row in rows
        for tag, value in row.items()
        if tag != "step"
    }


def in_tensorboard(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    found = [
        (tag, event.step, event.value)
        for tag in events.Tags()["scalars"]
        for event in events.Scalars(tag)
    ]
    assert len({(tag, step) for tag, step, _ in found}) == len(found), "a step is there twice"
    return {(tag, step): value for tag, step, value in found}


def assert_same(folder):
    one, two = in_jsonl(folder), in_tensorboard(folder)
    assert one.keys() == two.keys()
    for key, value in one.items():
        np.testing.assert_equal(np.float32(two[key]), np.float32(value), err_msg=str(key))
    return one


def test_jsonl_and_tensorboard_hold_the_same_with_a_skipped_step(toy, tmp_path):
    changed = toy.config(
        log_interval=1,
        train_cfg__val_interval_steps=10,
        train_dataloader__dataset__bad_draws=[20],
        custom_hooks=[{"type": "ProfileHook", "after_steps": 2, "steps": 2}],
    )
    train(changed, work_dir=tmp_path)
    scalars = assert_same(tmp_path)
    assert math.isnan(scalars["train/loss", 7])
    assert {tag for tag, _ in scalars} == {
        "train/loss",
        "train/lr",
        "train/grad_norm",
        "train/skipped_steps",
        "perf/steps_per_second",
        "perf/samples_per_second",
        "perf/tflops_per_second",
        "perf/matmul_peak_share",
        "perf/data_wait_share",
        "perf/peak_memory_mb",
        "val/toy/error",
        "val/toy/samples",
    }


def test_jsonl_and_tensorboard_hold_the_same_after_a_resume(toy, tmp_path):
    values = toy.config(log_interval=1, interval=4)
    train({**values, "train_cfg": {**values["train_cfg"], "max_steps": 6}}, work_dir=tmp_path)
    (tmp_path / "checkpoints" / "step-00000006.pth").unlink()
    train(values, work_dir=tmp_path, resume=True)
    scalars = assert_same(tmp_path)
    assert sorted(step for tag, step in scalars if tag == "train/loss") == list(range(1, 26))


def test_the_rate_that_is_logged_is_the_recipes_where_groups_have_their_own(toy, tmp_path):
    from mmengine.hooks import Hook

    class LowerTheFirst(Hook):
        priority = "VERY_HIGH"

        def before_train(self, runner):
            runner.optim_wrapper.param_groups[0]["lr"] = 1e-5

    changed = toy.config(train_cfg__max_steps=1, param_scheduler=None)
    train({**changed, "custom_hooks": [LowerTheFirst()]}, work_dir=tmp_path)
    assert in_jsonl(tmp_path)["train/lr", 1] == 1e-2
