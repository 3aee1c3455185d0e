"""The released tiler, against arrays of the published code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gigakit.core.errors import ConfigError, SlideError
from gigakit.registry import TILERS
from gigakit.wsi.slide import Slide
from gigakit.wsi.tilers.released import luminance, otsu_threshold


class Picture(Slide):
    """An image as a slide of one level, at 0.5 µm/px."""

    def __init__(self, image):
        self.image = image
        self.path = Path("picture")
        self.level_dimensions = [image.shape[1::-1]]
        self.level_downsamples = [1.0]
        self.mpp, self.mpp_source, self.vendor = (0.5, 0.5), "given", "none"

    def read(self, level, x, y, width, height):
        assert level == 0
        assert 0 <= x <= x + width <= self.image.shape[1]
        assert 0 <= y <= y + height <= self.image.shape[0]
        return self.image[y : y + height, x : x + width]

    def close(self):
        pass


@pytest.fixture(params=[0, 1, 2])
def case(request, shared):
    folder = shared / "reference/slide_encoder"
    facts = json.loads((folder / "tiling.json").read_text())[request.param]
    with np.load(folder / "tiling.npz") as arrays:
        prefix = f"c{request.param}."
        found = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    return facts, found


def build(facts, **faults):
    return TILERS.build({"type": "ReleasedTiler", "tile_size_px": facts["tile"], **faults})


def test_luminance_and_threshold_are_the_published_ones(case):
    facts, arrays = case
    grey = luminance(arrays["image_chw"].transpose(1, 2, 0))
    np.testing.assert_array_equal(grey, arrays["luminance_f16"])
    threshold = otsu_threshold(grey)
    assert threshold == facts["otsu_threshold"]
    mask = np.unpackbits(arrays["mask"])[: grey.size].reshape(grey.shape).astype(bool)
    np.testing.assert_array_equal(grey < threshold, mask)


def test_tiles_of_the_whole_picture_are_the_published_ones(case, monkeypatch):
    """The reference tiles the whole picture, so the box is set to it."""
    facts, arrays = case
    from gigakit.wsi.tilers import released

    whole = released.Box(0, 0, facts["w"], facts["h"])
    monkeypatch.setattr(released, "_box", lambda *_: whole)
    slide = Picture(arrays["image_chw"].transpose(1, 2, 0))
    tiler = build(facts, half_precision=True)
    offsets, occupancy = tiler._measure(slide, whole, np.float16(facts["otsu_threshold"]))
    np.testing.assert_array_equal(offsets, arrays["all_coords_xy"])
    np.testing.assert_array_equal(occupancy, arrays["all_occupancy_f16"])
    table = tiler.tile(slide, np.zeros((1, 1), dtype=bool), "s")
    np.testing.assert_array_equal(table.coords, arrays["kept_coords_xy"])
    exact = build(facts)._measure(slide, whole, np.float16(facts["otsu_threshold"]))[1]
    np.testing.assert_allclose(occupancy, exact, atol=1e-3)


def test_the_box_is_that_of_all_tissue(case):
    facts, arrays = case
    from gigakit.wsi.tilers.released import _box

    grey = luminance(arrays["image_chw"].transpose(1, 2, 0))
    assert list(_box(grey < facts["otsu_threshold"], 1.0, 1.0)) == facts["bbox_xywh"]


def tissue_at(x, y, width, height, size=(600, 500)):
    image = np.full((size[1], size[0], 3), 240, dtype=np.uint8)
    image[y : y + height, x : x + width] = 120
    return image


def test_a_swapped_origin_names_other_tissue():
    slide = Picture(tissue_at(300, 40, 128, 128))
    right = TILERS.build({"type": "ReleasedTiler", "tile_size_px": 64})
    table = right.tile(slide, np.zeros((1, 1)), "s")
    assert table.coords.tolist() == [[300, 40], [364, 40], [300, 104], [364, 104]]
    assert (table.read(slide, 3) == 120).all()
    swapped = TILERS.build({"type": "ReleasedTiler", "tile_size_px": 64, "swapped_origin": True})
    table = swapped.tile(slide, np.zeros((1, 1)), "s")
    assert table.coords[0].tolist() == [40, 300]
    assert (table.read(slide, 0) == 240).all()


def test_occupancy_in_half_precision_overflows_on_a_full_tile():
    slide = Picture(tissue_at(100, 100, 256, 256))
    config = {"type": "ReleasedTiler", "half_precision": True}
    assert np.isinf(TILERS.build(config).tile(slide, np.zeros((1, 1)), "s").occupancy).all()
    exact = TILERS.build({"type": "ReleasedTiler"}).tile(slide, np.zeros((1, 1)), "s")
    assert exact.occupancy.tolist() == [1.0]


def test_a_picture_without_tissue_has_no_tiles():
    slide = Picture(np.full((200, 200, 3), 240, dtype=np.uint8))
    table = TILERS.build({"type": "ReleasedTiler"}).tile(slide, np.zeros((1, 1)), "s")
    assert len(table) == 0


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="level"):
        TILERS.build({"type": "ReleasedTiler", "level": -1})
    with pytest.raises(SlideError, match="1 levels"):
        TILERS.build({"type": "ReleasedTiler", "level": 2}).tile(
            Picture(tissue_at(0, 0, 9, 9)), np.zeros((1, 1)), "s"
        )
