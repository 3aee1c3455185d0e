"""Level choice and area resampling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gigakit.core.errors import DamagedRegionError, SlideError, UnreadableSlideError
from gigakit.wsi.reduction import read_reduced
from gigakit.wsi.resolution import choose_level, read_window
from gigakit.wsi.slide import Slide, open_slide


def area_mean(image, x, y, scale, width, height):
    """Average over exact footprints, pixel by pixel."""
    integral = np.zeros((image.shape[0] + 1, image.shape[1] + 1, 3))
    integral[1:, 1:] = image.astype(np.float64).cumsum(0).cumsum(1)

    def at(px, py):
        i, j = int(np.floor(py)), int(np.floor(px))
        i, j = min(i, image.shape[0] - 1), min(j, image.shape[1] - 1)
        u, v = px - j, py - i
        top = integral[i, j] * (1 - u) + integral[i, j + 1] * u
        low = integral[i + 1, j] * (1 - u) + integral[i + 1, j + 1] * u
        return top * (1 - v) + low * v

    out = np.zeros((height, width, 3))
    for row in range(height):
        for column in range(width):
            left, top = x + column * scale, y + row * scale
            right, low = left + scale, top + scale
            total = at(right, low) - at(left, low) - at(right, top) + at(left, top)
            out[row, column] = total / scale**2
    return out


@pytest.mark.parametrize(
    ("mpp", "downsamples", "level", "resampling"),
    [
        (0.5, (1, 2, 4), 0, "none"),
        (0.499, (1,), 0, "none"),
        (0.25, (1, 2, 4), 1, "none"),
        (0.25, (1, 4), 0, "area"),
        (0.125, (1, 2), 1, "area"),
        (0.28, (1, 2), 0, "area"),
    ],
)
def test_a_level_within_tolerance_or_the_next_finer_one(
    make_pyramid, mpp, downsamples, level, resampling
):
    path, _ = make_pyramid(mpp=mpp, downsamples=downsamples)
    with open_slide(path) as slide:
        choice = choose_level(slide, 0.5)
    assert (choice.level, choice.resampling) == (level, resampling)
    assert choice.effective_mpp[0] == pytest.approx(0.5, rel=0.02)


def test_a_coarser_slide_is_refused_not_enlarged(make_pyramid):
    path, _ = make_pyramid(mpp=1.0)
    with (
        open_slide(path) as slide,
        pytest.raises(SlideError, match=r"coarser than the 0\.5 wanted"),
    ):
        choose_level(slide, 0.5)


@pytest.mark.parametrize("mpp", [0.25, 0.28, 0.2325, 0.1])
def test_resampled_windows_are_means_over_exact_footprints(make_pyramid, mpp):
    path, image = make_pyramid(mpp=mpp, downsamples=(1,))
    with open_slide(path) as slide:
        choice = choose_level(slide, 0.5)
        scale = choice.scale[0]
        assert scale == pytest.approx(0.5 / mpp, rel=1e-5)
        x, y = 7 * 16 * scale, 3 * 16 * scale
        found = read_window(slide, choice, x, y, 16, 16)
    expected = area_mean(image, x, y, scale, 16, 16)
    assert np.abs(found - expected).max() <= 0.51


def test_neighbouring_windows_do_not_drift(make_pyramid):
    path, _ = make_pyramid(mpp=0.28, downsamples=(1,), size=(1600, 256))
    with open_slide(path) as slide:
        choice = choose_level(slide, 0.5)
        side = 64 * choice.scale[0]
        together = read_window(slide, choice, 0.0, 0.0, 64 * 12, 64)
        last = read_window(slide, choice, 11 * side, 0.0, 64, 64)
    assert np.abs(together[:, -64:].astype(int) - last).max() <= 1


def test_the_whole_slide_reduced_in_strips_is_its_area_mean(make_pyramid, monkeypatch):
    monkeypatch.setattr("gigakit.wsi.reduction._STRIP_PIXELS", 1024 * 37)
    path, image = make_pyramid(mpp=0.5, downsamples=(1,))
    with open_slide(path) as slide:
        reduced, mpp, _ = read_reduced(slide, 8.0)
        uneven, uneven_mpp, _ = read_reduced(slide, 5.1)
    assert reduced.shape == (48, 64, 3)
    assert mpp == pytest.approx((8.0, 8.0))
    expected = image.reshape(48, 16, 64, 16, 3).mean(axis=(1, 3))
    assert np.abs(reduced - expected).max() <= 0.51
    assert uneven.shape[:2] == (75, 100)
    assert uneven_mpp[0] == pytest.approx(0.5 * 1024 / 100)
    assert uneven.mean() == pytest.approx(image.mean(), abs=0.1)


@pytest.mark.parametrize(
    ("strip", "largest", "rows"),
    [
        (1024 * 600, 1024 * 768, [512, 256]),  # whole rows of the file's tiles of 256 px
        (1024 * 64, 1024 * 768, [256] * 3),  # one row of tiles, rather than decoding each twice
        (1024 * 300, 1024 * 100, [256] * 3),
        (1024 * 200, 1024 * 100, [200, 200, 200, 168]),  # a row of tiles would be too much
    ],
)
def test_no_read_exceeds_the_strip(make_pyramid, monkeypatch, strip, largest, rows):
    monkeypatch.setattr("gigakit.wsi.reduction._STRIP_PIXELS", strip)
    monkeypatch.setattr("gigakit.wsi.reduction._LARGEST_STRIP_PIXELS", largest)
    path, image = make_pyramid(mpp=0.5, downsamples=(1,))
    heights = []
    with open_slide(path) as slide:
        read = slide.read
        monkeypatch.setattr(slide, "read", lambda *a: heights.append(a[4]) or read(*a))
        reduced = read_reduced(slide, 8.0).image
    assert heights == rows
    expected = image.reshape(48, 16, 64, 16, 3).mean(axis=(1, 3))
    assert np.abs(reduced - expected).max() <= 0.51


@pytest.mark.parametrize(
    ("mpp", "scale", "effective"),
    [
        ((0.25, 0.5), (2.0, 1.0), (0.5, 0.5)),
        ((0.505, 0.25), (1.0, 2.0), (0.505, 0.5)),
        ((0.2, 0.3), (2.5, 5 / 3), (0.5, 0.5)),
    ],
)
def test_axes_of_different_resolution_are_reduced_apart(make_pyramid, mpp, scale, effective):
    path, image = make_pyramid(mpp=mpp, downsamples=(1,))
    with open_slide(path) as slide:
        choice = choose_level(slide, 0.5)
        found = read_window(slide, choice, 0.0, 0.0, 16, 8)
    assert choice.scale == pytest.approx(scale, rel=1e-4)
    assert choice.effective_mpp == pytest.approx(effective, rel=1e-4)
    stretched = np.kron(image[:64, :64], np.ones((30, 30, 1)))
    width, height = round(30 * scale[0]), round(30 * scale[1])
    cut = stretched[: 8 * height, : 16 * width]
    expected = cut.reshape(8, height, 16, width, 3).mean(axis=(1, 3))
    assert np.abs(found - expected).max() <= 0.52


def test_one_axis_that_is_too_coarse_is_refused(make_pyramid):
    path, _ = make_pyramid(mpp=(0.5, 0.7), downsamples=(1,))
    with open_slide(path) as slide, pytest.raises(SlideError, match=r"0\.5 by 0\.7.* coarser"):
        choose_level(slide, 0.5)


@pytest.mark.parametrize("mpp", [0.2525, 0.25, 0.2476])
def test_a_whole_step_within_the_tolerance_is_taken_by_every_reader(
    make_jpeg_pyramid, textured, mpp
):
    path = make_jpeg_pyramid(textured(1024, 1280), mpp=mpp, downsamples=(1, 4))
    with open_slide(path) as quick, open_slide(path, reader={"type": "OpenSlideReader"}) as other:
        quick_choice, other_choice = choose_level(quick, 0.5), choose_level(other, 0.5)
        assert quick_choice.level == other_choice.level == 0
        assert quick_choice.scale == other_choice.scale == (2.0, 2.0)
        assert quick_choice.effective_mpp == pytest.approx((2 * mpp, 2 * mpp), rel=1e-5)
        assert (quick_choice.resampling, other_choice.resampling) == ("dct", "area")
        ours = read_window(quick, quick_choice, 512.0, 256.0, 128, 128)
        theirs = read_window(other, other_choice, 512.0, 256.0, 128, 128)
        assert np.abs(ours.astype(int) - theirs).mean() < 2
        # a corner between target px has no reduced JPEG to come from
        between = read_window(quick, quick_choice, 513.0, 256.0, 128, 128)
        np.testing.assert_array_equal(between, read_window(other, other_choice, 513, 256, 128, 128))


def test_a_step_beyond_the_tolerance_is_resampled_to_the_target(make_jpeg_pyramid, textured):
    path = make_jpeg_pyramid(textured(1024, 1280), mpp=0.2427, downsamples=(1, 4))
    with open_slide(path) as slide:
        choice = choose_level(slide, 0.5)
    assert (choice.level, choice.resampling) == (0, "area")
    assert choice.scale == pytest.approx((0.5 / 0.2427,) * 2, rel=1e-5)
    assert choice.effective_mpp == pytest.approx((0.5, 0.5), rel=1e-5)


def test_a_reduced_slide_covers_it_whichever_reader_made_it(make_jpeg_pyramid, textured):
    path = make_jpeg_pyramid(textured(1500, 2013), mpp=0.25)
    with open_slide(path) as quick, open_slide(path, reader={"type": "OpenSlideReader"}) as other:
        ours, our_mpp, _ = read_reduced(quick, 5.0)
        theirs, their_mpp, _ = read_reduced(other, 5.0)
    assert our_mpp == their_mpp
    assert ours.shape == theirs.shape == (75, 101, 3)
    difference = np.abs(ours.astype(int) - theirs).mean(axis=2)
    assert difference.mean() < 2
    # what a JPEG holds beyond the border does not leak in
    assert difference[-1].mean() < 3
    assert difference[:, -1].mean() < 3


class Damaged(Slide):
    """An image of stored tiles of 64 px, at 1 µm/px, of which some cannot be read."""

    def __init__(self, image, lost):
        self.image, self.lost = image, lost
        self.path = Path("damaged")
        self.level_dimensions, self.level_downsamples = [image.shape[1::-1]], [1.0]
        self.mpp, self.mpp_source, self.vendor = (1.0, 1.0), "given", "none"

    def stored_rows(self, level):
        return 64

    def read(self, level, x, y, width, height):
        for column, row in self.lost:
            across = x < 64 * column + 64 and x + width > 64 * column
            if across and y < 64 * row + 64 and y + height > 64 * row:
                raise DamagedRegionError(f"is damaged at {column}, {row}", where=self.path)
        return self.image[y : y + height, x : x + width]

    def close(self):
        pass


def test_what_is_damaged_is_white_and_the_rest_is_exact():
    image = np.random.default_rng(0).integers(0, 200, (1024, 1280, 3), dtype=np.uint8)
    lost = [(3, 5), (19, 15)]
    expected = image.copy()
    for column, row in lost:
        expected[64 * row : 64 * row + 64, 64 * column : 64 * column + 64] = 255
    found = read_reduced(Damaged(image, lost), 4.0)
    whole = read_reduced(Damaged(expected, []), 4.0)
    np.testing.assert_array_equal(found.image, whole.image)
    assert found.damaged_share == pytest.approx(2 / 320)
    assert whole.damaged_share == 0.0


def test_a_slide_that_is_damaged_over_a_hundredth_is_refused():
    image = np.zeros((1024, 1280, 3), dtype=np.uint8)
    lost = [(column, 2) for column in range(4)]
    with pytest.raises(UnreadableSlideError, match=r"over 1% of it is damaged; .* at 3, 2"):
        read_reduced(Damaged(image, lost), 4.0)
