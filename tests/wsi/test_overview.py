"""The overview picture."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from gigakit.wsi.overview import draw_overview, encode_jpeg, overview_mpp
from gigakit.wsi.slide import open_slide
from gigakit.wsi.tiles import TileTable


def test_tiles_outline_and_scale_bar_are_drawn_where_they_belong():
    image = np.full((256, 512, 3), 255, dtype=np.uint8)
    mask = np.zeros((256, 512), dtype=bool)
    mask[128:200, 300:400] = True
    table = TileTable.from_grid("s", np.array([[0.0, 0.0]]))
    table.attrs["slide_size"] = (2048, 1024)
    picture = draw_overview(image, mask, table, (2.0, 2.0))
    assert picture.shape == (512 + 26, 1024, 3)
    assert table.attrs["overview_size"] == (1024, 512)
    picture = picture[:512]
    # the tile covers 256 of 2048 level-0 px: 128 px of the picture
    assert (picture[60, 60] != 255).any()
    assert (picture[60, 140] == 255).all()
    green = (picture[:, :, 1].astype(int) - picture[:, :, 0] > 60).nonzero()
    assert abs(green[0].min() - 256) <= 2
    assert abs(green[1].max() - 800) <= 2
    # 1 µm is one px here, so the longest bar within a third of the width has 200 px
    dark = (picture[480:].max(axis=(0, 2)) >= 0) & (picture[490:502].min(axis=(0, 2)) < 60)
    assert abs(dark.sum() - 200) <= 6
    picture = np.ascontiguousarray(picture)
    decoded = cv2.imdecode(np.frombuffer(encode_jpeg(picture), np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == picture.shape


def test_a_small_slide_is_drawn_from_more_than_its_mask(make_pyramid):
    path, _ = make_pyramid(mpp=0.5, downsamples=(1,), size=(2048, 1024))
    with open_slide(path) as slide:
        assert overview_mpp(slide) == pytest.approx(1.0)


@pytest.mark.parametrize("shape", [(40, 3), (3, 40), (1, 1)])
def test_slides_of_any_shape_are_drawn(shape):
    image = np.full((*shape, 3), 200, dtype=np.uint8)
    table = TileTable.from_grid("s", np.zeros((0, 2)))
    table.attrs["slide_size"] = (shape[1] * 16, shape[0] * 16)
    picture = draw_overview(image, np.ones(shape, dtype=bool), table, (8.0, 8.0))
    assert max(table.attrs["overview_size"]) == 1024
    assert picture.shape[0] == table.attrs["overview_size"][1] + 26


def test_rejected_tiles_are_drawn_by_reason_and_counted_in_the_legend():
    image = np.full((256, 512, 3), 255, dtype=np.uint8)
    table = TileTable.from_grid("s", np.array([[0.0, 0.0], [2.0, 0.0], [4.0, 0.0], [6.0, 0.0]]))
    table.attrs["slide_size"] = (2048, 1024)
    table.columns.update(pen=np.array([0.0, 0.5, 0.5, 0.0]), blur=np.array([0.0, 0.0, 0.9, 0.9]))
    table = replace(table, rejected=np.array([[0.0, 2.0]]))
    empty = np.zeros((256, 512), dtype=bool)
    limits = {"pen": [0, 0.1], "blur": [0, 0.6]}
    picture = draw_overview(image, empty, table, (2.0, 2.0), limits)
    # tiles have 128 px here; their borders show the colour
    borders = [picture[60, 256 * column].tolist() for column in range(4)]
    assert borders[0] == [30, 90, 200]
    # beyond both limits counts for the first
    assert borders[1] == borders[2] == [215, 90, 0]
    assert borders[3] == [160, 0, 160]
    assert picture[320, 0].tolist() == [150, 150, 150]
    plain = draw_overview(image, empty, table, (2.0, 2.0))
    assert plain[60, 768].tolist() == [30, 90, 200]
    assert (plain[-26:] != picture[-26:]).any()
