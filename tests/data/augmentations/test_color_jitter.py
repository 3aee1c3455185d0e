"""Brightness, contrast, saturation and hue against published operations."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from contracts.photometric import PhotometricContract, image_of, levels_off

from gigakit.core.errors import ConfigError
from gigakit.core.seeding import random_generator

ORDERS = {"brightness": 0, "contrast": 1, "saturation": 2, "hue": 3}


def parameters(**amounts):
    """Return one row that changes what is given, in the usual order."""
    neutral = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}
    return torch.tensor([[1.0, *(neutral | amounts).values(), 0, 1, 2, 3]], dtype=torch.float32)


class TestColorJitter(PhotometricContract):
    config = {"type": "ColorJitter"}

    @pytest.mark.parametrize("place", range(4))
    def test_each_change_is_the_published_one(self, shared, place):
        reference = np.load(shared / "reference/ssl/augmentation_ops.npz")
        name = list(ORDERS)[place]
        amount = reference["params_brightness_contrast_saturation_hue"][place]
        view = self.build().apply(image_of(reference["image"]), parameters(**{name: amount}))
        assert levels_off(view, reference[f"{name}_tensor"]) <= 1
        assert levels_off(view, reference[f"{name}_pil"]) <= (3 if name == "hue" else 1)

    def test_hue_turns_as_the_standard_library_has_it(self):
        pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        pixels[0] = 77
        pixels[1] = [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255),
                     (255, 255, 0), (0, 255, 255), (255, 0, 255)]  # fmt: skip
        for turn in (-0.5, -0.1, 0.0, 0.04, 0.5):
            expected = np.zeros((8, 8, 3))
            for place in np.ndindex(8, 8):
                hue, saturation, value = colorsys.rgb_to_hsv(*(pixels[place] / 255))
                expected[place] = colorsys.hsv_to_rgb((hue + turn) % 1.0, saturation, value)
            view = self.build().apply(image_of(pixels), parameters(hue=turn))
            assert view[0].permute(1, 2, 0).numpy() == pytest.approx(expected * 255, abs=0.01)

    def test_the_order_drawn_is_kept(self):
        images = torch.rand(1, 3, 16, 16) * 255
        row = parameters(brightness=1.4, contrast=0.6)
        row[:, 5:] = torch.tensor([1, 0, 2, 3])
        grey = (images * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1)
        expected = (0.6 * images + 0.4 * grey.mean()).clamp(0, 255)
        expected = (1.4 * expected).clamp(0, 255)
        view = self.build().apply(images.clone(), row)
        torch.testing.assert_close(view, expected, rtol=0, atol=1e-3)
        other = self.build().apply(images.clone(), parameters(brightness=1.4, contrast=0.6))
        assert (view - other).abs().max() > 1

    def test_amounts_are_uniform_and_orders_equally_frequent(self):
        rows = self.build().draw(random_generator(0), 24_000)
        for column, (low, high) in enumerate([(0.6, 1.4), (0.6, 1.4), (0.8, 1.2), (-0.1, 0.1)], 1):
            values = rows[:, column]
            assert (values.min(), values.max()) == pytest.approx((low, high), abs=1e-3)
            assert values.mean() == pytest.approx((low + high) / 2, abs=(high - low) * 0.01)
        _, counts = np.unique(rows[:, 5:], axis=0, return_counts=True)
        assert len(counts) == 24
        assert counts == pytest.approx(np.full(24, 1000), abs=130)
        assert rows[:, 0].mean() == pytest.approx(0.8, abs=0.01)

    def test_impossible_strengths_are_told(self):
        with pytest.raises(ConfigError, match=r"ColorJitter\.hue: got 0\.7; give 0 to 0\.5"):
            self.build(hue=0.7)
        with pytest.raises(ConfigError, match=r"ColorJitter\.contrast: got -0\.1; give 0 to 1"):
            self.build(contrast=-0.1)
