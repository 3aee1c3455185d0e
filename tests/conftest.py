"""Shared fixtures: reference data where present, one torch thread, no user cache."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# both cores are shared; must be set before torch or OpenMP load
os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the source checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of reference arrays and real slides, or skip where a clone has none."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "reference").is_dir():
        pytest.skip("reference data (../shared) is not in this clone")
    return folder


@pytest.fixture(autouse=True)
def _one_torch_thread() -> None:
    import sys

    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def feature_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the feature files of three synthetic slides, 40 to 60 tiles each."""
    from resuming.recipes import write_slides

    return write_slides(tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="session")
def labelled_tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of twelve drawn tiles of 64 px in three classes, with ``labels.csv``."""
    from tasks.probes import drawn

    found = drawn.rows(cases=12, tiles=1)
    folder: Path = drawn.write_folder(tmp_path_factory.mktemp("tiles"), side=64, found=found)
    drawn.write_table(folder / "labels.csv", found)
    return folder
