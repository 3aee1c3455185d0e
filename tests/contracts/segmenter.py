"""What every segmenter does."""

from __future__ import annotations

import numpy as np
import pytest

from gigakit.core.errors import ConfigError
from gigakit.registry import SEGMENTERS


class SegmenterContract:
    """Inherit, and name the component's config."""

    config: dict

    def build(self, **changes):
        return SEGMENTERS.build({**self.config, **changes})

    def slide(self, height=150, width=200):
        generator = np.random.default_rng(0)
        image = np.clip(generator.normal(243, 1.6, (height, width, 3)), 0, 255)
        image[40:110, 50:150] = np.clip(generator.normal((190, 110, 170), 8, (70, 100, 3)), 0, 255)
        return image.astype(np.uint8)

    def test_stained_tissue_on_glass_is_found(self):
        image = self.slide()
        mask = self.build().segment(image)
        assert mask.shape == image.shape[:2]
        assert mask.dtype == bool
        truth = np.zeros_like(mask)
        truth[40:110, 50:150] = True
        assert (mask & truth).sum() / (mask | truth).sum() > 0.95

    def test_the_image_stays_as_it_is(self):
        image = self.slide()
        before = image.copy()
        self.build().segment(image)
        np.testing.assert_array_equal(image, before)

    def test_glass_has_no_tissue(self):
        generator = np.random.default_rng(1)
        for level, noise in ((243, 1.6), (255, 0.0), (230, 2.5)):
            image = np.clip(generator.normal(level, noise, (90, 120, 1)), 0, 255)
            grey = np.repeat(image, 3, axis=2).astype(np.uint8)
            assert not self.build().segment(grey).any(), level

    @pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1)])
    def test_the_smallest_images_have_a_mask(self, shape):
        image = np.full((*shape, 3), 240, dtype=np.uint8)
        assert self.build().segment(image).shape == shape

    def test_small_pieces_and_holes_follow_their_sizes_in_mm2(self):
        image = self.slide()
        image[60:90, 90:120] = 243
        image[5:25, 5:25] = (190, 110, 170)
        pixel_mm2 = 10.0**2 / 1e6
        loose = self.build(mask_mpp=10.0, min_tissue_mm2=0, max_hole_mm2=0).segment(image)
        assert loose[10:20, 10:20].all()
        assert not loose[66:84, 96:114].any()
        strict = self.build(
            mask_mpp=10.0, min_tissue_mm2=500 * pixel_mm2, max_hole_mm2=1000 * pixel_mm2
        ).segment(image)
        assert not strict[:30, :30].any()
        assert strict[66:84, 96:114].all()
        kept = self.build(
            mask_mpp=10.0, min_tissue_mm2=300 * pixel_mm2, max_hole_mm2=700 * pixel_mm2
        ).segment(image)
        assert kept[10:20, 10:20].all()
        assert not kept[66:84, 96:114].any()

    @pytest.mark.parametrize(
        ("key", "value"), [("mask_mpp", 0), ("min_tissue_mm2", -1), ("max_hole_mm2", -0.1)]
    )
    def test_what_cannot_be_is_refused(self, key, value):
        with pytest.raises(ConfigError, match=key):
            self.build(**{key: value})
