"""The trace of a few steps."""

import collections
import gzip
import itertools
import json

import pytest

from gigakit.core.errors import ConfigError, InterruptedRunError
from gigakit.engine.hooks.profile_hook import ProfileHook
from gigakit.engine.train import train

REGIONS = ("data wait", "forward", "backward", "optimiser step")


def profiled(toy, after_steps=4, steps=3, more=(), **changes):
    hook = {"type": "ProfileHook", "after_steps": after_steps, "steps": steps}
    return toy.config(custom_hooks=[hook, *more], **changes)


def regions(folder):
    """Return the named regions of a trace, in the order of their starts."""
    with gzip.open(folder / "trace.json.gz", "rt") as stream:
        events = json.load(stream)["traceEvents"]
    found = [e for e in events if e.get("cat") == "user_annotation" and e["name"] in REGIONS]
    return sorted(found, key=lambda event: event["ts"])


@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_parts_of_each_step_follow_each_other(toy, tmp_path, accumulation):
    train(profiled(toy, optim_wrapper__accumulative_counts=accumulation), work_dir=tmp_path)
    found = regions(tmp_path)
    step = ["data wait", *["forward", "backward"] * accumulation, "optimiser step"]
    assert [event["name"] for event in found] == step * 3
    for one, then in itertools.pairwise(found):
        assert one["ts"] + one["dur"] <= then["ts"]


def test_tracing_leaves_the_run_bit_identical_and_says_where_it_is(toy, finished, tmp_path, capfd):
    train(profiled(toy), work_dir=tmp_path)
    assert toy.digest(tmp_path) == toy.digest(finished)
    lines = [line for line in capfd.readouterr().err.splitlines() if "trace" in line]
    assert lines == [
        f"trace of steps 6 to 8: {tmp_path / 'trace.json.gz'}; open it at https://ui.perfetto.dev"
    ]
    assert lines[0] in (tmp_path / "train.log").read_text()
    assert not list(tmp_path.glob(".trace*"))


def test_nothing_is_left_on_the_model_and_the_optimiser(toy, tmp_path):
    seen = []

    class Look(ProfileHook):
        def before_train(self, runner):
            self.objects = (runner.model, runner.optim_wrapper)
            self.step = runner.optim_wrapper.step

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            model, wrapper = self.objects
            hooks = len(model._forward_hooks) + len(model._forward_pre_hooks)
            seen.append(hooks + ("backward" in vars(wrapper)) + (wrapper.step is not self.step))

    train(profiled(toy, more=[Look()], train_cfg__max_steps=10), work_dir=tmp_path)
    # hooks are there from the step that warms up to the one before the trace is written
    assert seen == [0] * 4 + [4] * 3 + [0] * 3


@pytest.mark.parametrize(("steps", "recorded"), [(2, 1), (3, 2), (9, 3)])
def test_a_short_run_has_a_trace_too(toy, tmp_path, steps, recorded):
    train(profiled(toy, after_steps=50, train_cfg__max_steps=steps), work_dir=tmp_path)
    names = collections.Counter(event["name"] for event in regions(tmp_path))
    assert names["forward"] == recorded


def test_a_resumed_run_counts_its_own_steps(toy, tmp_path, capfd):
    short = toy.config(train_cfg__max_steps=12, param_scheduler=None)
    train(short, work_dir=tmp_path)
    train(profiled(toy, param_scheduler=None), work_dir=tmp_path, resume=True)
    assert "trace of steps 18 to 20" in capfd.readouterr().err


def test_an_interrupted_recording_is_given_up(toy, finished, tmp_path):
    hook = {"type": "KillHook", "step": 6, "number": 15}
    with pytest.raises(InterruptedRunError):
        train(profiled(toy, more=[hook]), work_dir=tmp_path)
    assert not list(tmp_path.glob("*trace*"))
    # the profiler is free again
    train(profiled(toy), work_dir=tmp_path, resume=True)
    assert toy.digest(tmp_path) == toy.digest(finished)
    assert regions(tmp_path)


def test_the_first_rank_alone_records(toy, toy_process, tmp_path):
    changed = {key: profiled(toy)[key] for key in ("custom_hooks",)}
    hooks = changed["custom_hooks"]
    codes = toy_process(tmp_path, processes=2, launcher="pytorch", default_hooks__profile=hooks[0])
    assert codes == [0, 0]
    assert len(regions(tmp_path)) == 3 * len(REGIONS)


@pytest.mark.parametrize("arguments", [{"steps": 0}, {"after_steps": -1}])
def test_counts_are_checked(arguments):
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        ProfileHook(**arguments)


def test_the_switch_adds_the_hook_unless_the_recipe_has_one():
    from gigakit.cli.train import _with_profiler
    from gigakit.config import load_checked

    loaded = load_checked("tiny/slide")
    hooks = _with_profiler(loaded).values["custom_hooks"]
    assert hooks == [*loaded.values["custom_hooks"], {"type": "ProfileHook"}]
    assert _with_profiler(_with_profiler(loaded)).values["custom_hooks"] == hooks
