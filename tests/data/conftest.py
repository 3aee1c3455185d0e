"""Stored tiles."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gigakit.registry import TILERS
from gigakit.wsi.slide import open_slide


@pytest.fixture
def tile_folder(tmp_path, smooth, encoded):
    """Return a folder of ten tiles in two folders of classes."""
    root = tmp_path / "tiles"
    for number in range(10):
        path = root / ("a" if number < 5 else "b") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(smooth(seed=number)))
    (root / "notes.txt").write_text("no tile")
    (root / "a" / "._0.png").write_bytes(b"of a Mac")
    return root


@pytest.fixture
def tiled_slides(tmp_path, smooth, encoded):
    """Return the folder of tile tables of two slides, 12 tiles of 64 px each, at 0.5 µm/px."""
    folder = tmp_path / "cohort" / "tiles" / "grid"
    for number in range(2):
        noise = np.random.default_rng(number).integers(0, 12, (192, 256, 3), dtype=np.uint8)
        path = tmp_path / f"slide{number}.png"
        path.write_bytes(encoded(cv2.resize(smooth(64, number), (256, 192)) + noise))
        tiler = TILERS.build({"type": "GridTiler", "tile_size_px": 64})
        with open_slide(path, mpp=0.5) as slide:
            table = tiler.tile(slide, np.ones((24, 32), dtype=bool), path.stem)
        table.attrs.update({"source": str(path), "given_mpp": 0.5})
        table.save(folder / f"{path.stem}.h5")
    return folder
