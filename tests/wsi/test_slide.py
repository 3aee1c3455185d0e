"""Opening slides: what is read, and what each bad file is told."""

from __future__ import annotations

import numpy as np
import pytest

from gigakit.core.errors import ConfigError, MissingMppError, SlideError, UnreadableSlideError
from gigakit.wsi.slide import open_slide


def test_levels_resolution_and_pixels(make_pyramid):
    path, image = make_pyramid()
    with open_slide(path) as slide:
        assert slide.level_dimensions == ((1024, 768), (512, 384), (256, 192))
        assert slide.mpp == pytest.approx((0.25, 0.25))
        assert np.array_equal(slide.read(0, 100, 50, 60, 40), image[50:90, 100:160])


def test_outside_the_slide_is_background(make_pyramid):
    path, image = make_pyramid()
    with open_slide(path) as slide:
        region = slide.read(0, 1014, 758, 20, 20)
    assert np.array_equal(region[:10, :10], image[758:, 1014:])
    assert (region[10:] == 255).all()
    assert (region[:, 10:] == 255).all()


def test_a_plain_image_needs_its_resolution_told(tmp_path):
    import cv2

    path = tmp_path / "é ü.png"
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    path.write_bytes(cv2.imencode(".png", pixels[..., ::-1])[1].tobytes())
    with open_slide(path) as slide:
        assert np.array_equal(slide.read(0, 0, 0, 4, 4), pixels)
        with pytest.raises(MissingMppError, match="give --mpp, or a column mpp"):
            slide.require_mpp()
    with open_slide(path, mpp=0.5) as slide:
        assert slide.require_mpp() == (0.5, 0.5)


def test_transparent_pixels_become_background(tmp_path):
    import cv2

    pixels = np.zeros((2, 2, 4), dtype=np.uint8)
    pixels[0, 0] = (10, 20, 30, 255)
    path = tmp_path / "a.png"
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    with open_slide(path) as slide:
        region = slide.read(0, 0, 0, 2, 2)
    assert region[0, 0].tolist() == [30, 20, 10]
    assert region[1, 1].tolist() == [255, 255, 255]


@pytest.mark.parametrize("told", [0.0, -0.5, 499.0])
def test_impossible_resolutions_are_refused(make_pyramid, told):
    path, _ = make_pyramid()
    with pytest.raises(ConfigError, match="no slide scanner has"):
        open_slide(path, mpp=told)


BAD = {
    "missing.svs": ("no such file", None),
    "empty.svs": ("is empty", b""),
    "page.svs": ("text page", b"<html>404</html>"),
    "noise.svs": ("no slide that OpenSlide knows", bytes(range(256)) * 8),
    "broken.png": ("is no image", b"\x89PNG\r\n\x1a\n" + bytes(100)),
}


@pytest.mark.parametrize("name", BAD)
def test_each_bad_file_is_told_its_own_cause(tmp_path, name):
    message, content = BAD[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableSlideError, match=message) as caught:
        open_slide(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders_and_broken_links_are_told(tmp_path):
    (tmp_path / "x.svs").mkdir()
    with pytest.raises(UnreadableSlideError, match="is a folder"):
        open_slide(tmp_path / "x.svs")
    (tmp_path / "y.svs").symlink_to(tmp_path / "nowhere.svs")
    with pytest.raises(UnreadableSlideError, match="broken link"):
        open_slide(tmp_path / "y.svs")


@pytest.mark.parametrize(
    "name",
    [
        "broken_random_bytes.svs",
        "html_error_page.svs",
        "truncated_cmu_300kB.svs",
        "dicom_label_only.dcm",
    ],
)
def test_real_bad_files_are_refused_in_one_line(shared, name):
    with pytest.raises(UnreadableSlideError) as caught:
        open_slide(shared / "data" / "odd" / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_tile_is_that_regions_error_alone(shared):
    with open_slide(shared / "data" / "odd" / "corrupt_tile_generic.tif") as slide:
        before = slide.read(0, 0, 0, 200, 200)
        with pytest.raises(UnreadableSlideError, match="is damaged at level 0"):
            slide.read(0, 300, 300, 100, 100)
        assert np.array_equal(slide.read(0, 0, 0, 200, 200), before)


@pytest.mark.parametrize(
    ("name", "vendor", "mpp"),
    [
        ("cmu-1-small-region.svs", "aperio", 0.499),
        ("camelyon_lowres.dcm", "dicom", 28.97),
        ("tcga-cr-7395-01a-01-ts1.svs", "aperio", None),
    ],
)
def test_real_slides_open(shared, name, vendor, mpp):
    with open_slide(shared / "data" / "slides" / name) as slide:
        assert slide.vendor == vendor
        assert (slide.mpp is None) == (mpp is None)
        if mpp:
            assert slide.mpp[0] == pytest.approx(mpp, rel=1e-3)
        assert slide.read(0, 0, 0, 64, 32).shape == (32, 64, 3)


def test_every_error_of_a_slide_concerns_that_slide_alone():
    assert issubclass(UnreadableSlideError, SlideError)
    assert issubclass(MissingMppError, SlideError)
