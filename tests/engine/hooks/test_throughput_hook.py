"""Rates: what they mean, and that measuring them changes nothing."""

import json
import time

import pytest
import torch
from mmengine.hooks import Hook

from gigakit.engine.hooks.throughput_hook import _Clock
from gigakit.engine.matmul_peak import matmul_peak
from gigakit.engine.train import train

FORWARD = 2 * (6 * 8 + 8 * 6)


def rates(folder, tag):
    rows = [json.loads(line) for line in (folder / "scalars.jsonl").read_text().splitlines()]
    return [row[f"perf/{tag}"] for row in rows if f"perf/{tag}" in row]


def flops_per_step(folder):
    pairs = zip(rates(folder, "tflops_per_second"), rates(folder, "steps_per_second"), strict=True)
    return [flops * 1e12 / steps for flops, steps in pairs]


@pytest.mark.parametrize("accumulation", [1, 3])
def test_flops_of_a_step_are_those_of_its_matmuls(toy, tmp_path, accumulation):
    changed = toy.config(optim_wrapper__accumulative_counts=accumulation)
    train(changed, work_dir=tmp_path)
    # the input gets a gradient: it is added to a learned token
    assert flops_per_step(tmp_path) == pytest.approx(
        [3 * FORWARD * 3 * accumulation] * len(flops_per_step(tmp_path))
    )
    share = rates(tmp_path, "matmul_peak_share")
    peak = matmul_peak(torch.device("cpu"), torch.float32)
    assert share == pytest.approx(
        [rate * 1e12 / peak for rate in rates(tmp_path, "tflops_per_second")]
    )
    assert rates(tmp_path, "tokens_per_second") == []


def test_measuring_leaves_the_run_bit_identical(toy, finished, tmp_path):
    train(toy.config(default_hooks__throughput=None), work_dir=tmp_path)
    assert rates(finished, "tflops_per_second")
    assert not (tmp_path / "scalars.jsonl").read_text().count("perf/")
    assert toy.digest(tmp_path) == toy.digest(finished)


def test_two_ranks_report_the_rates_of_both(toy, toy_process, finished, tmp_path):
    assert toy_process(tmp_path, processes=2, launcher="pytorch") == [0, 0]
    per_step = flops_per_step(tmp_path)
    assert per_step == pytest.approx([2 * flops_per_step(finished)[0]] * len(per_step))
    samples, steps = rates(tmp_path, "samples_per_second"), rates(tmp_path, "steps_per_second")
    assert samples == pytest.approx([6 * rate for rate in steps])


@pytest.fixture
def slide_run(feature_folder, tmp_path):
    """Return a function that trains a small masked autoencoder and returns its folder."""
    from gigakit.config import load_checked
    from gigakit.engine.launch import launch

    def run(name, *overrides, **hooks):
        recipe = load_checked(
            "tiny/slide",
            (f"features={feature_folder}", "train_cfg.max_steps=6", "train_cfg.epochs=20",
             "model.encoder.dropout=0.2", "default_hooks.scalars.interval_steps=1", *overrides),
        )  # fmt: skip
        recipe.values["default_hooks"] |= hooks
        launch(recipe, work_dir=tmp_path / name, announce=str)
        return tmp_path / name

    return run


def test_tokens_are_tiles_without_padding_and_share_the_work(slide_run):
    folder = slide_run("run", "train_dataloader.dataset.augmentations=[]")
    per_step = [
        tokens / steps
        for tokens, steps in zip(
            rates(folder, "tokens_per_second"), rates(folder, "steps_per_second"), strict=True
        )
    ]
    # slides of 40, 50 and 60 tiles, four a step
    assert all(160 < tokens < 240 for tokens in per_step)
    assert per_step == pytest.approx([10 * round(tokens / 10) for tokens in per_step])
    per_token = [
        flops / tokens
        for flops, tokens in zip(
            rates(folder, "tflops_per_second"), rates(folder, "tokens_per_second"), strict=True
        )
    ]
    assert per_token == pytest.approx([per_token[0]] * 6, rel=0.2)


def test_counting_attention_leaves_the_slide_encoder_bit_identical(slide_run, toy):
    assert toy.digest(slide_run("with")) == toy.digest(slide_run("without", throughput=None))


def test_model_is_given_back_as_it_was(toy, tmp_path):
    seen = {}

    class Look(Hook):
        priority = "VERY_LOW"

        def before_train(self, runner):
            seen["before"] = "train_step" in vars(runner.model)

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            seen["during"] = "train_step" in vars(runner.model)
            seen["model"] = runner.model

    changed = toy.config(train_cfg__max_steps=2)
    train({**changed, "custom_hooks": [Look()]}, work_dir=tmp_path)
    assert (seen["before"], seen["during"]) == (False, True)
    assert "train_step" not in vars(seen["model"])


def test_the_clock_leaves_validation_out_and_splits_off_the_wait(monkeypatch):
    now = iter(range(100, 1000, 10))
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    clock = _Clock()  # 100
    clock.start()  # 110
    clock.data_arrived()  # 120: 10 of waiting
    clock.wait_for_data()  # 130
    clock.stop()  # 140
    clock.go_on()  # 150: 10 of validation
    clock.data_arrived()  # 160: 20 of waiting, 10 on each side of it
    assert clock.read() == (50, 30)  # 170
    assert clock.read() == (10, 0)  # 180
