"""A small labelled cohort, written once."""

from __future__ import annotations

from pathlib import Path

import pytest
from slide_tasks.cohort import write_cohort


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the folder of the features of twenty slides and their table."""
    return write_cohort(tmp_path_factory.mktemp("cohort"))
