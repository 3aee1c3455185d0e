"""Inversion of bright values against the published operation."""

from __future__ import annotations

import numpy as np
import torch
from contracts.photometric import PhotometricContract, image_of, levels_off


class TestSolarize(PhotometricContract):
    config = {"type": "Solarize"}

    def test_it_is_the_published_one(self, shared):
        reference = np.load(shared / "reference/ssl/augmentation_ops.npz")
        view = self.build().apply(image_of(reference["image"]), torch.ones(1, 1))
        assert levels_off(view, reference["solarize128"]) == 0

    def test_the_threshold_itself_is_inverted(self):
        values = torch.tensor([0.0, 99.0, 100.0, 255.0]).expand(1, 3, 1, 4).clone()
        view = self.build(threshold=100).apply(values, torch.ones(1, 1))
        assert view[0, 0, 0].tolist() == [0.0, 99.0, 155.0, 0.0]
