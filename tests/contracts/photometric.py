"""What every photometric operation has to do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gigakit.core.errors import ConfigError
from gigakit.core.seeding import random_generator
from gigakit.registry import AUGMENTATIONS


def image_of(array):
    """Return ``(H, W, 3)`` uint8 as a batch of one."""
    return torch.from_numpy(array).permute(2, 0, 1)[None].float().contiguous()


def levels_off(batch, reference):
    """Return the largest difference to an 8-bit picture after rounding."""
    rounded = batch[0].permute(1, 2, 0).round().numpy()
    return np.abs(rounded - reference.astype(np.float64)).max()


class PhotometricContract:
    """Inherit it, and name the operation's config."""

    config: dict

    def build(self, **changes):
        return AUGMENTATIONS.build({**self.config, **changes})

    @pytest.fixture
    def images(self):
        generator = torch.Generator().manual_seed(0)
        return torch.rand(12, 3, 40, 48, generator=generator) * 255

    def drawn(self, operation, rows, seed=0):
        return torch.from_numpy(operation.draw(random_generator(seed), rows))

    def test_parameters_follow_from_the_generator(self):
        operation = self.build(p=0.5)
        first, same, other = (self.drawn(operation, 10, seed) for seed in (1, 1, 2))
        assert first.dtype == torch.float32
        assert first.shape[0] == 10
        assert torch.equal(first, same)
        assert not torch.equal(first, other)

    def test_only_the_views_drawn_change(self, images):
        operation = self.build(p=0.5)
        parameters = self.drawn(operation, 12)
        changed = parameters[:, 0] > 0
        assert 0 < changed.sum() < 12
        after = operation.apply(images.clone(), parameters)
        assert torch.equal(after[~changed], images[~changed])
        assert all(not torch.equal(after[row], images[row]) for row in torch.nonzero(changed)[:, 0])
        assert after.min() >= 0
        assert after.max() <= 255

    def test_a_view_is_the_same_in_every_batch(self, images):
        operation = self.build(p=1.0)
        parameters = self.drawn(operation, 12)
        together = operation.apply(images.clone(), parameters)
        for row in (0, 5, 11):
            alone = operation.apply(images[row : row + 1].clone(), parameters[row : row + 1])
            torch.testing.assert_close(alone[0], together[row], rtol=0, atol=1e-3)

    def test_each_kind_of_view_has_its_probability(self):
        operation = self.build(p=(1.0, 0.0, 0.5))
        flags = np.stack([operation.draw(random_generator(n), 10)[:, 0] for n in range(200)])
        assert flags[:, 0].all()
        assert not flags[:, 1].any()
        assert flags[:, 2:].mean() == pytest.approx(0.5, abs=0.04)
        alone = operation.draw(random_generator(0), 3, global_crops=1)[:, 0]
        assert alone[0] == 1.0

    def test_impossible_probabilities_are_told(self):
        for p in (1.5, (0.1, 0.2), (0, 0, -1)):
            with pytest.raises(ConfigError, match=r"\.p: got .*; give one probability, or three"):
                self.build(p=p)
