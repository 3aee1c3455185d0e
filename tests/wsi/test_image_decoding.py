"""Encoded images as 8-bit RGB: every form, and damage."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from gigakit.core.errors import DamagedRegionError
from gigakit.wsi.image_decoding import decode_image


def off(found, expected):
    assert found.dtype == np.uint8
    assert found.shape == expected.shape
    return np.abs(found.astype(int) - expected).max()


@pytest.mark.parametrize("fmt", ["PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_lossless_forms_are_exact(encoded, smooth, fmt, mode):
    data = encoded(smooth(), fmt, mode)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert off(decode_image(data), expected) == 0


@pytest.mark.parametrize(("mode", "limit"), [("RGB", 3), ("L", 2), ("CMYK", 8)])
def test_jpegs_are_pillows_within_a_few_levels(encoded, smooth, mode, limit):
    data = encoded(smooth(), "JPEG", mode, quality=95)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert off(decode_image(data), expected) <= limit


def test_a_rotation_that_a_camera_noted_is_not_applied(encoded, smooth):
    exif = Image.Exif()
    exif[0x0112] = 6
    for fmt in ("JPEG", "PNG"):
        turned, plain = encoded(smooth(), fmt, exif=exif), encoded(smooth(), fmt)
        assert np.array_equal(decode_image(turned), decode_image(plain))


def test_sixteen_bits_become_eight(encoded):
    values = np.array([[0, 128, 129, 257, 32768, 65535]], dtype=np.uint16)
    found = decode_image(encoded(values))
    assert found[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]
    assert (found == found[..., :1]).all()


def test_what_is_transparent_becomes_white(encoded):
    pixels = np.zeros((1, 3, 4), dtype=np.uint8)
    pixels[..., :3] = (200, 100, 0)
    pixels[..., 3] = (0, 51, 255)
    expected = [[255, 255, 255], [244, 224, 204], [200, 100, 0]]
    assert decode_image(encoded(pixels))[0].tolist() == expected


@pytest.mark.parametrize(("fmt", "mode"), [("JPEG", "RGB"), ("JPEG", "CMYK"), ("PNG", "RGB")])
def test_damage_is_told_and_never_filled_in(encoded, smooth, fmt, mode):
    data = encoded(smooth(), fmt, mode)
    for cut in (len(data) // 2, len(data) - 20):
        with pytest.raises(DamagedRegionError, match="is damaged"):
            decode_image(data[:cut])


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "is empty"), (b"<html>", "is no image, or is damaged"), (b"\xff\xd8\xff", "is damaged")],
)
def test_what_is_no_image_is_told(data, message):
    with pytest.raises(DamagedRegionError, match=message):
        decode_image(data)


def test_floating_point_is_refused(encoded):
    with pytest.raises(DamagedRegionError, match="has float32 pixels, not 8 or 16 bits"):
        decode_image(encoded(np.zeros((4, 4), dtype=np.float32), "TIFF"))
