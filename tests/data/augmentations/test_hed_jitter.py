"""Stains against scikit-image's, in its units, and in honest ones."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from contracts.photometric import PhotometricContract, image_of, levels_off

from gigakit.core.errors import ConfigError
from gigakit.core.seeding import random_generator
from gigakit.data.augmentations.hed_jitter import SCIKIT_UNIT, STAINS


class TestHedJitter(PhotometricContract):
    config = {"type": "HedJitter"}
    openmidnight = {"scale": 0, "unit": "scikit", "clip_stains": True}

    def test_it_is_the_published_one_in_its_units(self, shared):
        reference = np.load(shared / "reference/ssl/pathology_aug.npz")
        text = (shared / "reference/ssl/augmentation_statistics.json").read_text()
        operation = self.build(**self.openmidnight)
        effects = json.loads(text)["openmidnight_hed_effect"]
        for number, delta in enumerate(reference["hed_deltas"]):
            row = torch.tensor([[1.0, 1, 1, 1, *(delta * SCIKIT_UNIT)]], dtype=torch.float32)
            before = image_of(reference["hed_in"])
            after = operation.apply(before.clone(), row)
            assert levels_off(after, reference[f"hed_out{number}"]) <= 1
            assert effects[number]["delta"] == pytest.approx(delta)
            change = float((after.round() - before).abs().mean())
            assert change == pytest.approx(effects[number]["mean_abs_rgb_change"], abs=0.5)

    def test_stains_are_scaled_and_shifted(self):
        amounts = np.random.default_rng(0).uniform(0.1, 0.5, (6, 6, 3))
        factors, shifts = np.array([1.1, 0.9, 1.05]), np.array([0.04, -0.02, 0.05])
        before = 255 * np.exp(-amounts @ np.array(STAINS))
        expected = 255 * np.exp(-(amounts * factors + shifts) @ np.array(STAINS))
        row = torch.tensor([[1.0, *factors, *shifts]], dtype=torch.float32)
        for clip in (False, True):
            view = self.build(clip_stains=clip).apply(image_of(before), row)
            assert view[0].permute(1, 2, 0).numpy() == pytest.approx(expected, abs=0.02)

    def test_no_change_is_none_unless_stains_are_clipped(self):
        images = torch.rand(1, 3, 20, 20) * 254 + 1
        row = torch.tensor([[1.0, 1, 1, 1, 0, 0, 0]])
        view = self.build().apply(images.clone(), row)
        torch.testing.assert_close(view, images, rtol=0, atol=1e-3)
        clipped = self.build(clip_stains=True).apply(images.clone(), row)
        assert (clipped - images).abs().max() > 10

    def test_draws_have_their_width_in_density(self):
        honest = self.build(scale=0.2, shift=0.05).draw(random_generator(0), 4000)
        assert honest[:, 1:4].min() == pytest.approx(0.8, abs=0.01)
        assert honest[:, 4:].max() == pytest.approx(0.05, abs=0.001)
        trap = self.build(**self.openmidnight).draw(random_generator(0), 4000)
        assert (trap[:, 1:4] == 1).all()
        assert trap[:, 4:].max() == pytest.approx(0.69, abs=0.01)

    def test_what_cannot_be_is_told(self):
        with pytest.raises(ConfigError, match=r"HedJitter\.unit: got 'od'; give density or scikit"):
            self.build(unit="od")
        with pytest.raises(ConfigError, match=r"HedJitter\.scale: got 2; give 0 to 1"):
            self.build(scale=2)
        with pytest.raises(ConfigError, match=r"HedJitter\.shift: got -1; give 0 or more"):
            self.build(shift=-1)
