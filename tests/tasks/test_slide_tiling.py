"""From a cohort to places of tiles, for a run that reads their pixels from the slides."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gigakit.core.errors import SomeSlidesFailedError
from gigakit.registry import TASKS
from gigakit.wsi.cohort import Cohort, SlideRow
from gigakit.wsi.tiles import TileTable

CONFIG = {
    "type": "SlideTiling",
    "segmenter": {"type": "OtsuSegmenter"},
    "tiler": {"type": "GridTiler"},
    "quality": [{"type": "Background"}],
}


def slide(folder, name, pixels):
    path = folder / f"{name}.png"
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return SlideRow(name, path, 0.5)


@pytest.fixture
def tissue(tmp_path):
    """Return a slide of 2 x 3 whole tiles of tissue."""
    image = np.full((1100, 1300, 3), 240, dtype=np.uint8)
    image[256:768, 256:1024] = np.random.default_rng(0).integers(40, 140, (512, 768, 3))
    return slide(tmp_path, "tissue", image)


@pytest.fixture
def useless(tmp_path):
    """Return a blank slide, one that is no image, and one that is not there."""
    blank = slide(tmp_path, "blank", np.full((600, 600, 3), 240, dtype=np.uint8))
    (tmp_path / "text.png").write_text("<html>")
    return (
        blank,
        SlideRow("text", tmp_path / "text.png", 0.5),
        SlideRow("gone", tmp_path / "gone.png", 0.5),
    )


def run(rows, tmp_path, lines=None, **changes):
    task = TASKS.build({**CONFIG, **changes})
    announce = (lambda line: None) if lines is None else lines.append
    return task.run(Cohort("c", tuple(rows)), tmp_path / "out", announce=announce)


def test_slides_that_cannot_be_used_are_left_out_and_counted(tissue, useless, tmp_path):
    prepared = run([tissue, *useless], tmp_path)
    assert (prepared.slide_ids, prepared.lengths) == (["tissue"], [6])
    table = TileTable.load(prepared.folder / "tissue.h5")
    assert sorted(map(tuple, table.coords.tolist())) == [
        (x, y) for x in (256, 512, 768) for y in (256, 512)
    ]
    assert prepared.notes == ["3 of 4 slides are left out, see status.csv"]
    assert (prepared.overviews / "tissue.jpg").is_file()


def test_a_cohort_of_which_nothing_is_left_is_told_slide_by_slide(useless, tmp_path):
    with pytest.raises(SomeSlidesFailedError, match="no slide of the cohort can be used") as caught:
        run(useless, tmp_path)
    assert caught.value.exit_code == 3
    told = str(caught.value)
    assert "status.csv" in told
    assert told.count(";") >= 2
    assert "no such file" in told


def test_what_is_tiled_is_not_tiled_again(tissue, tmp_path):
    first, again = [], []
    one = run([tissue], tmp_path, first)
    two = run([tissue], tmp_path, again)
    assert (one.folder, one.lengths) == (two.folder, two.lengths)
    assert len(first) > len(again)
    other = run([tissue], tmp_path, tiler={"type": "GridTiler", "tile_size_px": 128})
    assert other.folder != one.folder
    assert other.lengths == [24]
