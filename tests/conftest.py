"""Shared fixtures: reference data where present, one torch thread, no user cache."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# both cores are shared; must be set before torch or OpenMP load
os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parents[1]


# files of minutes: one of two processes must not wait for such a one at the end
_LONG = (
    "test_readme.py",
    "test_shell_blocks.py",
    "test_command_line.py",
    "test_masked_autoencoder.py",
    "test_self_distillation.py",
    "test_image_masked_autoencoder.py",
    "test_contrastive_learning.py",
    "test_distributed.py",
    "test_ready.py",
    "test_launchers.py",
    "test_fault_run.py",
    "test_engine_overhead.py",
    "test_new.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(_LONG)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


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


@pytest.fixture(autouse=True)
def _own_logger() -> Iterator[None]:
    """Give the package's logger back: a runner built by a test keeps its records from caplog."""
    from gigakit.engine.screen import borrowed_logger

    with borrowed_logger("gigakit"):
        yield


@pytest.fixture(scope="session")
def feature_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the feature files of three synthetic slides, 40 to 60 tiles each."""
    from resuming.recipes import write_slides

    return write_slides(tmp_path_factory.mktemp("features"))


@pytest.fixture
def encoded() -> Callable[..., bytes]:
    """Return a function that encodes an array as Pillow stores it."""
    import io

    from PIL import Image

    def encode(pixels: Any, fmt: str = "PNG", mode: str | None = None, **options: Any) -> bytes:
        image = Image.fromarray(pixels)
        stream = io.BytesIO()
        (image.convert(mode) if mode else image).save(stream, fmt, **options)
        return stream.getvalue()

    return encode


@pytest.fixture
def smooth() -> Callable[..., Any]:
    """Return a function that makes a smooth picture, which JPEG hardly changes."""
    import cv2
    import numpy as np

    def make(size: int = 48, seed: int = 0) -> np.ndarray:
        coarse = np.random.default_rng(seed).integers(40, 220, (4, 4, 3)).astype(np.float32)
        picture = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
        return np.clip(picture, 0, 255).astype(np.uint8)

    return make


@pytest.fixture(scope="session")
def labelled_tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of twelve drawn tiles of 64 px in three classes, with ``labels.csv``."""
    from tasks.probes import drawn

    found = drawn.rows(cases=12, tiles=1)
    folder: Path = drawn.write_folder(tmp_path_factory.mktemp("tiles"), side=64, found=found)
    drawn.write_table(folder / "labels.csv", found)
    return folder


@pytest.fixture(scope="session")
def warm_tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with ``gigakit`` and ``python`` whose imports are made already."""
    from warm.tools import warm_tools

    with warm_tools(tmp_path_factory.mktemp("bin")) as folder:
        yield folder
