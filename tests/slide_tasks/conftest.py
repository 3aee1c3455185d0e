"""A small labelled cohort, written once."""

from __future__ import annotations

from pathlib import Path

import pytest
from resuming.recipes import resolved
from slide_tasks.cohort import write_cohort

from gigakit.engine.train import train


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the folder of the features of twenty slides and their table."""
    return write_cohort(tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="session")
def run(
    cohort: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """Return a run of one epoch and what points the recipe to its data."""
    features, table = cohort
    given = {"features": str(features), "labels": str(table), "target.columns": ["label"]}
    folder = tmp_path_factory.mktemp("tested") / "run"
    train(resolved("tasks/abmil", {**given, "train_cfg.epochs": 1}), work_dir=folder)
    return folder, [f"--set={key}={value}" for key, value in given.items()]
