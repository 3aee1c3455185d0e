"""Every segmenter keeps the contract, and each does what it is for."""

import numpy as np
import pytest
from contracts.segmenter import SegmenterContract

from gigakit.core.errors import ConfigError
from gigakit.registry import SEGMENTERS


class TestOtsu(SegmenterContract):
    config = {"type": "OtsuSegmenter"}


class TestSaturationOtsu(SegmenterContract):
    config = {"type": "SaturationOtsuSegmenter"}


class TestHsvRange(SegmenterContract):
    config = {"type": "HsvRangeSegmenter"}


class TestClam(SegmenterContract):
    config = {"type": "ClamSegmenter", "min_tissue_mm2": 0.05, "max_hole_mm2": 0.0}


@pytest.mark.parametrize("name", ["SaturationOtsuSegmenter", "HsvRangeSegmenter"])
def test_a_black_border_is_no_tissue_where_colour_counts(name):
    image = SegmenterContract().slide()
    image[:, :12] = 3
    mask = SEGMENTERS.build({"type": name}).segment(image)
    assert not mask[:, :8].any()
    assert mask[45:105, 55:145].all()


def test_green_pen_is_no_tissue_in_the_published_range():
    image = SegmenterContract().slide()
    image[5:15, 20:180] = (30, 140, 60)
    assert not SEGMENTERS.build({"type": "HsvRangeSegmenter"}).segment(image)[5:15, 20:180].any()


def test_the_published_hsv_ratios_are_reproduced(shared):
    arrays = np.load(shared / "reference" / "ssl" / "pathology_aug.npz")
    segmenter = SEGMENTERS.build({"type": "HsvRangeSegmenter"})
    found = [segmenter.segment(tile).mean() for tile in arrays["hsv_tiles"]]
    np.testing.assert_array_equal(found, arrays["hsv_ratio"])


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"type": "ClamSegmenter", "median_px": 4}, "median_px"),
        ({"type": "ClamSegmenter", "threshold": 300}, "threshold"),
        ({"type": "SaturationOtsuSegmenter", "median_px": -1}, "median_px"),
        ({"type": "HsvRangeSegmenter", "low": [100, 0, 0], "high": [90, 255, 255]}, "low"),
        ({"type": "HsvRangeSegmenter", "high": [200, 255, 255]}, "high"),
    ],
)
def test_values_out_of_range_are_refused(config, key):
    with pytest.raises(ConfigError, match=key):
        SEGMENTERS.build(config)
