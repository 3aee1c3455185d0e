"""Steps, epochs, accumulation and validation intervals."""

import json

import pytest

from gigakit.core.errors import ConfigError
from gigakit.engine.train import train


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({}, 25),  # 13 samples in batches of 3: 5 steps an epoch
        ({"train_cfg__max_steps": 7}, 7),
        ({"train_cfg__steps_per_epoch": 3}, 15),  # whatever the data
        ({"train_cfg__max_steps": 70}, 25),
        ({"optim_wrapper__accumulative_counts": 2}, 15),
        ({"train_dataloader__dataset__size": 12, "train_cfg__epochs": 2}, 8),
    ],
)
def test_epochs_are_resolved_to_optimiser_steps(toy, tmp_path, changes, steps):
    assert train(toy.config(**changes), work_dir=tmp_path).steps == steps


def test_an_accumulated_step_equals_one_of_a_larger_batch(toy, tmp_path):
    plain = {"model__dropout": 0.0, "train_cfg__max_steps": 5, "log_interval": 1}
    large = toy.config(batch_size=6, **plain)
    small = toy.config(batch_size=3, optim_wrapper__accumulative_counts=2, **plain)
    one, two = (
        train(values, work_dir=tmp_path / name) for name, values in (("a", large), ("b", small))
    )
    assert two.metrics["toy/error"] == pytest.approx(one.metrics["toy/error"], rel=1e-5)
    assert two.last_loss == pytest.approx(one.last_loss, rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({}, [10]),
        ({"train_cfg__val_interval_steps": 4}, [4, 8, 10]),
        ({"train_cfg__val_interval_steps": 5}, [5, 10]),
        ({"train_cfg__val_interval_steps": 4, "train_cfg__val_at_end": False}, [4, 8]),
    ],
)
def test_validation_falls_on_the_iteration_axis(toy, tmp_path, changes, steps):
    train(toy.config(train_cfg__max_steps=10, **changes), work_dir=tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "scalars.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "val/toy/error" in row] == steps


def test_validation_does_not_change_training(toy, tmp_path):
    for interval in (None, 3):
        changed = toy.config(train_cfg__max_steps=10, train_cfg__val_interval_steps=interval)
        train(changed, work_dir=tmp_path / str(interval))
    assert toy.digest(tmp_path / "None") == toy.digest(tmp_path / "3")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_cfg__epochs": 0}, "train_cfg.epochs"),
        ({"train_dataloader__sampler": {"type": "DefaultSampler"}}, "ResumableSampler"),
        ({"train_dataloader__dataset__size": 0}, "dataset is empty"),
    ],
)
def test_what_cannot_be_trained_is_a_config_error(toy, tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        train(toy.config(**changes), work_dir=tmp_path)
