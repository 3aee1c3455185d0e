"""Grey against the published operation."""

from __future__ import annotations

import numpy as np
import torch
from contracts.photometric import PhotometricContract, image_of, levels_off


class TestRandomGrey(PhotometricContract):
    config = {"type": "RandomGrey"}

    def test_it_is_the_published_one(self, shared):
        reference = np.load(shared / "reference/ssl/augmentation_ops.npz")
        view = self.build().apply(image_of(reference["image"]), torch.ones(1, 1))
        assert levels_off(view, reference["grayscale"]) <= 1
        assert torch.equal(view[:, 0], view[:, 2])
