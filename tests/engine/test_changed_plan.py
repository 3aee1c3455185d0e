"""A run resumed under a changed plan."""

import json

import pytest

from gigakit.core.errors import CheckpointError
from gigakit.engine.train import train


def test_the_first_step_of_a_prolonged_run_has_the_new_plans_rate(toy, tmp_path):
    train(toy.config(epochs=2), work_dir=tmp_path)
    train(toy.config(epochs=4, log_interval=1), work_dir=tmp_path, resume=True)
    rows = [json.loads(line) for line in (tmp_path / "scalars.jsonl").read_text().splitlines()]
    rates = {row["step"]: row["train/lr"] for row in rows if "train/lr" in row}
    # a third of the cosine: cos(60°) = 1/2
    assert rates[11] == pytest.approx(0.75e-2)


def test_a_changed_seed_is_one_or_the_other_not_a_mixture(toy, tmp_path):
    train(toy.config(train_cfg__max_steps=5, param_scheduler=None), work_dir=tmp_path)
    changed = toy.config(train_cfg__max_steps=6, param_scheduler=None, randomness__seed=4)
    with pytest.raises(CheckpointError, match="was made with seed 3, the recipe has 4"):
        train(changed, work_dir=tmp_path, resume=True)
