"""The cost of a run, measured on a few steps, and nothing left of it."""

from __future__ import annotations

import shutil

import pytest

from gigakit.config import load_config
from gigakit.core.errors import ConfigError
from gigakit.engine.dry_run import measure_step_cost
from gigakit.engine.launch import launch


@pytest.fixture
def measure(tmp_path, monkeypatch):
    """Return a function that measures the small recipe in an empty folder, which stays empty."""
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def run(*overrides, **options):
        cost = measure_step_cost(load_config("tiny/slide", overrides), **options)
        assert not list(folder.iterdir())
        return cost

    return run


def test_the_figures_are_those_of_the_run(measure, feature_folder, tmp_path):
    given = (
        f"features={feature_folder}",
        "train_cfg.max_steps=4",
        "train_cfg.epochs=4",
        "custom_hooks=[]",
    )
    cost = measure(*given)
    result = launch(load_config("tiny/slide", given), work_dir=tmp_path / "run")
    assert (cost.parameters, cost.steps) == (result.parameters, result.steps)
    assert cost.timed_steps == 3
    assert 0 < cost.seconds_per_step < cost.seconds < 60
    assert cost.peak_memory_mb > 50
    assert cost.notes == []


def test_flops_are_those_of_the_attention_that_runs(measure, feature_folder):
    def flops(attention):
        return measure(
            f"features={feature_folder}", f"model.encoder.attention={attention}",
            "custom_hooks=[]", probe_steps=1,
        ).flops_per_step  # fmt: skip

    full = flops("dict(type='FullAttention')")
    # the first branch covers each sequence, so dilated attention is full attention there
    assert flops("dict(type='DilatedAttention', segment_lengths=[1024], dilation_ratios=[1])") == (
        pytest.approx(full, rel=0.1)
    )
    assert flops("dict(type='DilatedAttention', segment_lengths=[8], dilation_ratios=[4])") < full


def test_some_slides_stand_for_a_cohort(measure, shared, tmp_path):
    slide = shared / "data" / "slides" / "cmu-1-small-region.svs"
    cohort = tmp_path / "slides"
    cohort.mkdir()
    for number in range(6):
        shutil.copyfile(slide, cohort / f"{number}.svs")
    lines = []
    scratch = tmp_path / "scratch"
    given = (f"cohort={cohort}", "preparation.quality=[]", "custom_hooks=[]")
    cost = measure(*given, scratch=scratch, announce=lines.append)
    # two epochs of 6 slides in batches of 4
    assert cost.steps == 4
    assert cost.notes == ["4 of 6 slides stand for the cohort"]
    assert len(lines) == 4
    measure(*given, scratch=scratch, announce=lines.append)
    assert len(lines) == 4


def test_an_encoder_is_not_trained():
    with pytest.raises(ConfigError, match="no model to train"):
        measure_step_cost(load_config("encoders/gigapath"))
