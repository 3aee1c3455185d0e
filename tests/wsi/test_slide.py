"""Opening slides: what is read, and what each bad file is told."""

from __future__ import annotations

import os

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


def test_a_picture_of_16_bits_is_read_as_one_of_8(tmp_path):
    import cv2

    path = tmp_path / "a.png"
    path.write_bytes(cv2.imencode(".png", np.array([[0, 65535]], dtype=np.uint16))[1].tobytes())
    with open_slide(path) as slide:
        assert slide.read(0, 0, 0, 2, 1).tolist() == [[[0, 0, 0], [255, 255, 255]]]


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
    "marked.svs": ("text page", b"\xef\xbb\xbf <html>404</html>"),
    "picture.svs": ("is a PNG image, not a slide", b"\x89PNG\r\n\x1a\n" + bytes(100)),
    "archive.svs": ("is a zip archive", b"PK\x03\x04" + bytes(100)),
    "short.svs": ("is cut short: 24 bytes", b"II*\x00" + (5000).to_bytes(4, "little") + bytes(16)),
    "large.svs": (
        "is cut short: 24 bytes, with its directory at byte 9000000000",
        b"MM\x00+\x00\x08\x00\x00" + (9_000_000_000).to_bytes(8, "big") + bytes(8),
    ),
    "alone.mrxs": ("has no folder 'alone' beside it", b"\xff\xd8\xff" + bytes(100)),
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
    ("name", "error", "message"),
    [
        ("odd/broken_random_bytes.svs", UnreadableSlideError, "no slide that OpenSlide knows"),
        ("odd/html_error_page.svs", UnreadableSlideError, "text page"),
        ("odd/truncated_cmu_300kB.svs", UnreadableSlideError, "is cut short"),
        ("odd/dicom_label_only.dcm", UnreadableSlideError, "cannot be opened: .*associated image"),
        ("odd/boxes.tiff", MissingMppError, r"352\.778 µm/px .* no slide scanner has; give --mpp"),
    ],
)
def test_real_bad_files_are_refused_in_one_line(shared, name, error, message):
    path = shared / "data" / name
    with pytest.raises(error, match=message) as caught:
        open_slide(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pipes_and_impossible_names_are_told(tmp_path):
    os.mkfifo(tmp_path / "pipe.svs")
    with pytest.raises(UnreadableSlideError, match="is a pipe or device"):
        open_slide(tmp_path / "pipe.svs")
    with pytest.raises(UnreadableSlideError, match="too long"):
        open_slide(tmp_path / f"{'x' * 300}.svs")
    (tmp_path / "loop.svs").symlink_to(tmp_path / "loop.svs")
    with pytest.raises(UnreadableSlideError, match="symbolic links"):
        open_slide(tmp_path / "loop.svs")


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_an_image_that_is_cut_or_damaged_is_refused(tmp_path, suffix):
    import cv2

    generator = np.random.default_rng(0)
    pixels = cv2.GaussianBlur(generator.integers(0, 255, (200, 200, 3), dtype=np.uint8), (0, 0), 4)
    whole = cv2.imencode(suffix, pixels)[1].tobytes()
    half = len(whole) // 2
    cut, zeroed = whole[:half], whole[:half] + bytes(len(whole) - half)
    # JPEG has no checksum: what shows is a marker amid the data
    stray = whole[:half] + b"\xff\xd9" + whole[half + 2 :]
    for content in (cut, zeroed, stray):
        (tmp_path / f"a{suffix}").write_bytes(content)
        with pytest.raises(UnreadableSlideError, match="damaged"):
            open_slide(tmp_path / f"a{suffix}", mpp=0.5)


@pytest.mark.parametrize(
    ("mpp", "told"), [((0.25, 0.5), (0.25, 0.5)), (None, None), ((0.25, 500.0), MissingMppError)]
)
def test_the_resolution_a_slide_tells(make_pyramid, mpp, told):
    path, _ = make_pyramid(mpp=mpp, downsamples=(1,))
    if told is MissingMppError:
        with pytest.raises(MissingMppError, match="500 µm/px"):
            open_slide(path)
    else:
        with open_slide(path) as slide:
            assert slide.mpp == (pytest.approx(told, rel=1e-4) if told else None)
    with open_slide(path, mpp=0.3) as slide:
        assert (slide.mpp, slide.mpp_source) == ((0.3, 0.3), "given")


@pytest.mark.parametrize("text", ["0", "-0.499", "nan", "wide"])
def test_nonsense_in_a_slides_own_metadata_is_refused(make_pyramid, monkeypatch, text):
    import openslide

    path, _ = make_pyramid(downsamples=(1,))
    told = {"openslide.mpp-x": text, "openslide.mpp-y": text}
    monkeypatch.setattr(openslide.OpenSlide, "properties", told)
    with pytest.raises(MissingMppError, match="no slide scanner has"):
        open_slide(path)


def test_a_slides_background_colour_fills_what_it_leaves_out(make_pyramid, monkeypatch):
    import openslide

    path, _ = make_pyramid(downsamples=(1,))
    monkeypatch.setattr(openslide.OpenSlide, "properties", {"openslide.background-color": "0A141E"})
    with open_slide(path) as slide:
        assert slide.read(0, 5000, 5000, 2, 2)[0, 0].tolist() == [10, 20, 30]


def test_names_in_any_script_open(shared, tmp_path):
    path = tmp_path / "組織 (1) é 😐.svs"
    path.write_bytes((shared / "data" / "odd" / "tiny_valid_16px.svs").read_bytes())
    with open_slide(path) as slide:
        assert slide.level_dimensions[0] == (16, 16)


def test_any_file_of_a_dicom_series_opens_the_slide(shared):
    for name in ("boxes_0.dcm", "boxes_1.dcm"):
        with open_slide(shared / "data" / "odd" / "dicom_boxes" / name) as slide:
            assert (slide.vendor, slide.level_dimensions[0]) == ("dicom", (16, 16))


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
