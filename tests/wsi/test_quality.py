"""Qualities of tiles: known answers, real slides, damage, limits."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gigakit.core.errors import ConfigError, DamagedRegionError
from gigakit.registry import QUALITIES
from gigakit.wsi.boxes import box_means, box_sums
from gigakit.wsi.cohort import Cohort, SlideRow
from gigakit.wsi.quality import check_limits, measure_qualities, within_limits
from gigakit.wsi.slide import open_slide
from gigakit.wsi.tiles import TileTable
from gigakit.wsi.tiling import TilingSettings, tile_cohort

ALL = [{"type": name} for name in ("Blur", "Pen", "Background", "Saturation")]
TISSUE, GLASS = (190, 110, 170), (243, 243, 243)


def measure(quality, image, corners, size=(16, 16)):
    return QUALITIES.build({"type": quality}).measure(image, np.array(corners), size)


def painted(*colours):
    """Boxes of 16 px side by side."""
    return np.repeat(np.array(colours, dtype=np.uint8)[None], 16, 0).repeat(16, 1)


def test_sums_over_boxes_are_those_of_slices():
    values = np.random.default_rng(0).random((30, 40)).astype(np.float32)
    corners = np.array([[0, 0], [24, 14], [7, 3], [35, 28], [-3, -2]])
    expected = [values[max(0, y) : y + 8, max(0, x) : x + 10].sum(dtype=float) for x, y in corners]
    np.testing.assert_allclose(box_sums(values, corners, (10, 8)), expected)
    assert box_means(np.ones((9, 9), np.uint8), np.array([[1, 1]]), (4, 4)) == 1.0


def test_ink_of_green_blue_and_black_pens_is_told_from_tissue():
    inks = (20, 120, 90), (40, 90, 200), (25, 25, 30)
    tissues = TISSUE, (120, 80, 150), (230, 120, 140), (90, 60, 40), GLASS
    image = painted(*inks, *tissues)
    corners = [(16 * i, 0) for i in range(8)]
    assert measure("Pen", image, corners).tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
    assert measure("Pen", image, [(8, 0), (40, 0)]).tolist() == [1.0, 0.5]


def test_background_is_bright_and_colourless():
    image = painted(GLASS, TISSUE, (150, 150, 150), (240, 200, 230))
    corners = [(0, 0), (16, 0), (32, 0), (48, 0), (12, 0)]
    assert measure("Background", image, corners).tolist() == [1, 0, 0, 0, 0.25]


def test_saturation_is_that_of_hsv():
    image = painted((200, 100, 100), (128, 128, 128))
    found = measure("Saturation", image, [(0, 0), (16, 0), (8, 0)])
    np.testing.assert_allclose(found, [0.5, 0, 0.25], atol=0.003)


def blur_by_definition(grey, window=5):
    """Crete et al., by loops over one tile."""
    shares = []
    for image in (grey.astype(float), grey.T.astype(float)):
        half = window // 2
        smooth = np.array([np.convolve(row, np.ones(window) / window, "valid") for row in image])
        before = np.abs(np.diff(image, axis=1))[:, half : half + smooth.shape[1] - 1]
        after = np.abs(np.diff(smooth, axis=1))
        shares.append(1 - np.maximum(0, before - after).sum() / before.sum())
    return max(shares)


def test_blur_is_the_published_measure_and_knows_only_the_tile():
    image = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8), (0, 0), 1.0
    )
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    corners = [(0, 0), (64, 32), (17, 5)]
    expected = [blur_by_definition(grey[y : y + 64, x : x + 64]) for x, y in corners]
    np.testing.assert_allclose(measure("Blur", image, corners, (64, 64)), expected, atol=2e-3)


def test_defocus_raises_the_blur_of_real_tissue(shared):
    with open_slide(shared / "data/slides/cmu-1-small-region.svs") as slide:
        image = slide.read(0, 400, 800, 1024, 1024)
    blurred = []
    for sigma_um in (0.01, 2.0, 4.0):
        defocused = cv2.GaussianBlur(image, (0, 0), sigma_um / 0.499)
        reduced = cv2.resize(defocused, (256, 256), interpolation=cv2.INTER_AREA)
        corners = [(x, y) for y in (0, 64, 128, 192) for x in (0, 64, 128, 192)]
        # bare glass has nothing but the codec's noise
        corners = [(x, y) for x, y in corners if reduced[y : y + 64, x : x + 64].mean() < 215]
        assert len(corners) > 5
        blurred.append(measure("Blur", reduced, corners, (64, 64)))
    assert blurred[0].max() < 0.45
    assert blurred[1].min() > 0.45
    assert blurred[2].min() > 0.7


def test_a_uniform_tile_is_wholly_blurred():
    image = np.full((64, 64, 3), 200, dtype=np.uint8)
    assert measure("Blur", image, [(0, 0)], (64, 64)).tolist() == [1.0]


@pytest.mark.parametrize("settings", [{"mpp": 0}, {"window": 4}, {"window": 1}])
def test_blur_refuses_what_cannot_be(settings):
    with pytest.raises(ConfigError):
        QUALITIES.build({"type": "Blur", **settings})
    with pytest.raises(ConfigError):
        QUALITIES.build({"type": "Background", "max_saturation": 256})


@pytest.fixture
def slide(make_pyramid, tissue_image):
    path, _ = make_pyramid(mpp=0.5, downsamples=(1, 4), image=tissue_image)
    return path


def tiled(path, out, **settings):
    base = {"segmenter": {"type": "OtsuSegmenter"}, "tiler": {"type": "GridTiler"}}
    result = tile_cohort(
        Cohort("c", (SlideRow("a", path),)), TilingSettings(**base, **settings), out
    )
    return result, TileTable.load(result.folder / "a.h5")


def test_columns_are_stored_and_bands_do_not_change_them(slide, tmp_path, monkeypatch):
    _, table = tiled(slide, tmp_path / "one", quality=ALL)
    assert sorted(table.columns) == ["background", "blur", "pen", "saturation"]
    for name, values in table.columns.items():
        assert values.shape == (len(table),), name
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
    assert table.columns["background"].max() < 0.05
    monkeypatch.setattr("gigakit.wsi.quality._IMAGE_PIXELS", 1)
    _, banded = tiled(slide, tmp_path / "two", quality=ALL)
    np.testing.assert_array_equal(banded.columns["blur"], table.columns["blur"])
    kept = np.arange(len(table)) % 2 == 0
    some = table.select(kept)
    np.testing.assert_array_equal(some.columns["blur"], table.columns["blur"][kept])
    np.testing.assert_array_equal(some.grid, table.grid[kept])


def test_what_is_damaged_is_not_measured_and_the_rest_is(slide, tmp_path):
    _, table = tiled(slide, tmp_path)
    with open_slide(slide) as opened:
        read = opened.read

        def damaged(level, x, y, width, height):
            if x * 4 <= 1300 < (x + width) * 4 and y * 4 <= 800 < (y + height) * 4:
                raise DamagedRegionError("is damaged", where=slide)
            return read(level, x, y, width, height)

        opened.read = damaged
        mask_image = np.full((10, 10, 3), 100, dtype=np.uint8)
        blur = QUALITIES.build({"type": "Blur", "mpp": 2.0})
        found = measure_qualities(opened, table, [blur], mask_image)["blur"]
    lost = np.isnan(found)
    assert lost.sum() == 1
    assert table.coords[lost].tolist() == [[1280, 768]]
    table.columns["blur"] = found
    assert not within_limits(table, {"blur": [0.0, 1.0]})[0][lost].any()


def test_limits_do_not_decide_what_is_stored_but_what_is_drawn(slide, tmp_path):
    plain, table = tiled(slide, tmp_path, quality=ALL)
    before = cv2.imread(str(plain.folder / "overview/a.jpg"))
    (plain.folder / "a.h5").unlink()
    limits = {"saturation": [0.0, 0.0]}
    limited, again = tiled(slide, tmp_path, quality=ALL, quality_limits=limits)
    assert limited.folder == plain.folder
    assert len(again) == len(table)
    drawn = cv2.imread(str(plain.folder / "overview/a.jpg"))
    orange = (drawn[:, :, 2].astype(int) - drawn[:, :, 0] > 150).sum()
    assert orange > 100
    assert not (before[:, :, 2].astype(int) - before[:, :, 0] > 150).any()


def test_limits_mark_tiles_by_column():
    table = TileTable.from_grid("s", np.array([[0.0, 0], [1, 0], [2, 0]]))
    table.columns.update(pen=np.array([0.0, 0.2, 0.05]), blur=np.array([0.9, 0.9, 0.3]))
    kept, beyond = within_limits(table, {"pen": [0, 0.05], "blur": [0, 0.6]})
    assert kept.tolist() == [False, False, True]
    assert beyond["pen"].tolist() == [False, True, False]
    assert beyond["blur"].tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"ink": [0, 1]}, "measures blur, pen"),
        ({"pen": 0.5}, "least, largest"),
        ({"pen": [0.5, 0.1]}, "least, largest"),
        ({"pen": "01"}, "least, largest"),
        ({"pen": [0, "x"]}, "least, largest"),
    ],
)
def test_limits_that_cannot_be_are_refused(limits, said):
    with pytest.raises(ConfigError, match=said):
        check_limits(limits, ["pen", "blur"])
