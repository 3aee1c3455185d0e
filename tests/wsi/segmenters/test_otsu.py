"""Otsu's tissue mask."""

from __future__ import annotations

import numpy as np
import pytest

from gigakit.core.errors import ConfigError
from gigakit.registry import SEGMENTERS
from gigakit.wsi.reduction import read_reduced
from gigakit.wsi.slide import open_slide


def segment(image):
    return SEGMENTERS.build({"type": "OtsuSegmenter"}).segment(image)


def test_a_dark_square_on_white_is_tissue():
    image = np.full((60, 80, 3), 240, dtype=np.uint8)
    image[10:40, 20:70] = (180, 90, 150)
    expected = np.zeros((60, 80), dtype=bool)
    expected[10:40, 20:70] = True
    assert np.array_equal(segment(image), expected)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_flat_image_has_no_tissue(level):
    noise = np.random.default_rng(0).integers(-2, 3, (50, 50, 3))
    image = np.clip(level + noise, 0, 255).astype(np.uint8)
    assert not segment(image).any()


@pytest.mark.parametrize("side", [20, 60])
def test_a_speck_of_tissue_on_a_noisy_slide_is_found(side):
    noise = np.random.default_rng(0).normal(243, 1.6, (1000, 1000, 3))
    image = noise.clip(0, 255).astype(np.uint8)
    image[100 : 100 + side, 500 : 500 + side] = (170, 110, 160)
    mask = segment(image)
    assert mask[100 : 100 + side, 500 : 500 + side].all()
    assert mask.sum() == side**2


@pytest.mark.parametrize(("light", "found"), [(107, False), (109, True)])
def test_two_tones_count_from_eight_grey_levels_on(light, found):
    image = np.full((20, 20, 3), light, dtype=np.uint8)
    image[:10] = 100
    assert segment(image).any() == found


def test_the_threshold_is_that_of_an_exhaustive_search():
    generator = np.random.default_rng(3)
    image = np.repeat(
        np.concatenate([generator.normal(90, 20, 3000), generator.normal(220, 9, 5000)])
        .clip(0, 255).astype(np.uint8).reshape(80, 100, 1), 3, axis=2,
    )  # fmt: skip
    values = image[..., 0].astype(float).ravel()

    def between(t):
        dark, light = values[values <= t], values[values > t]
        if not len(dark) or not len(light):
            return 0.0
        return len(dark) * len(light) * (dark.mean() - light.mean()) ** 2

    best = max(range(255), key=between)
    assert np.array_equal(segment(image), image[..., 0] <= best)


@pytest.mark.parametrize(("name", "least"), [("C2", 0.95), ("C3", 0.9), ("B4", 0.5)])
def test_real_sections_agree_with_their_spots(shared, name, least):
    import csv

    folder = shared / "data" / "st_her2"
    with open_slide(folder / f"{name}.jpg", mpp=0.69) as slide:
        image, mpp, _ = read_reduced(slide, 8.0)
    mask = segment(image)
    both = either = 0
    with (folder / f"{name}_spots.csv").open() as stream:
        for row in csv.DictReader(stream):
            x, y = (int(float(row[key]) * 0.69 / mpp[0]) for key in ("pixel_x", "pixel_y"))
            around = mask[max(y - 6, 0) : y + 7, max(x - 6, 0) : x + 7]
            found, true = around.mean() > 0.5, row["in_tissue"].lower() in ("1", "true", "1.0")
            both += found and true
            either += found or true
    assert both / either > least


def test_a_resolution_of_zero_is_refused():
    with pytest.raises(ConfigError, match="mask_mpp"):
        SEGMENTERS.build({"type": "OtsuSegmenter", "mask_mpp": 0})
