"""Shares of local binary patterns by patch, and the error of predicting them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from contracts.ranks import in_two_processes

from gigakit.core.errors import ConfigError
from gigakit.registry import LOSSES
from gigakit.tasks.probes.colour_texture import uniform_patterns


def build(**settings):
    return LOSSES.build({"type": "LocalPatternLoss", **settings})


def pixels(images=2, side=32, seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (images, 3, side, side))
    return torch.from_numpy(values).float()


def test_shares_are_those_of_the_textbook_inside_an_image():
    """A patch that fills the image but for its border, counted by the other implementation."""
    loss = build()
    assert loss.outputs == 10 + 18 + 26
    grey = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (1, 1, 48, 48))).float()
    middle = loss.shares(grey.expand(1, 3, 48, 48), 16)[0, 4]
    # the middle patch of nine, with the border that each radius takes
    for radius, first in ((1, 0), (2, 10), (3, 28)):
        inner = grey[0, 0, 16 - radius : 32 + radius, 16 - radius : 32 + radius]
        expected = uniform_patterns(inner.numpy().astype(np.uint8), radius, 8 * radius)
        found = middle[first : first + 8 * radius + 2]
        # a point that is as bright to a hundredth may fall on either side
        assert found.numpy() == pytest.approx(expected, abs=2 / 256)


def test_shares_of_a_patch_add_up_to_one_at_each_radius():
    shares = build().shares(pixels(), 8)
    assert shares.shape == (2, 16, 54)
    for part in shares.split([10, 18, 26], dim=-1):
        torch.testing.assert_close(part.sum(dim=-1), torch.ones(2, 16))


def test_right_angles_and_a_paler_stain_change_nothing():
    loss, given = build(), pixels(images=1, side=16).mean(dim=1, keepdim=True).round()
    found = loss.shares(given.expand(1, 3, 16, 16), 16)
    for changed in (given.rot90(1, dims=(2, 3)), 40 + 2 * given):
        torch.testing.assert_close(loss.shares(changed.expand(1, 3, 16, 16), 16), found)


def test_an_even_image_is_one_pattern_whatever_its_colour():
    shares = build(radii=[2]).shares(torch.full((1, 3, 16, 16), 200.0), 8)
    assert (shares[..., 16] == 1).all()
    assert shares.sum() == 4


def test_each_share_is_measured_in_deviations_of_all_that_was_seen():
    loss, given = build(radii=[1]), [pixels(seed=seed) for seed in range(3)]
    for images in given[:2]:
        loss(torch.zeros(2, 16, 10), images)
    shares = torch.cat([loss.shares(images, 8) for images in given]).double().flatten(0, 1)
    mean, deviation = shares.mean(dim=0), shares.std(dim=0, unbiased=False)
    expected = ((shares[-32:] - mean) / (deviation + 0.01)).square().mean()
    found = loss(torch.zeros(2, 16, 10), given[2])
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    # looking does not count
    loss.eval()(torch.zeros(2, 16, 10), given[0])
    assert loss.count == 96


def test_a_right_prediction_has_no_error():
    loss, images = build(), pixels()
    loss(torch.zeros(2, 16, 54), images)
    shares, mean = loss.shares(images, 8), loss.total / loss.count
    deviation = (loss.squares / loss.count - mean.square()).sqrt()
    right = (shares - mean) / (deviation + 0.01)
    assert loss.eval()(right.float(), images) < 1e-8


def test_half_precision_around_it_changes_no_target():
    loss = build()
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss.shares(pixels(), 8)
    assert torch.equal(inside, loss.shares(pixels(), 8))


def rank(number):
    loss, whole = build(radii=[1]), build(radii=[1])
    for seed in range(2):
        images = pixels(images=4, seed=seed)
        found = loss(torch.zeros(2, 16, 10), images[2 * number : 2 * number + 2])
        torch.distributed.all_reduce(found)
    # what follows is one process's own
    torch.distributed.destroy_process_group()
    for seed in range(2):
        expected = whole(torch.zeros(4, 16, 10), pixels(images=4, seed=seed))
    torch.testing.assert_close(found / 2, expected)
    assert torch.equal(loss.count, whole.count)


def test_two_processes_measure_as_one(tmp_path):
    in_two_processes(rank, tmp_path)


@pytest.mark.parametrize("radii", [[], [0, 1]])
def test_a_circle_needs_a_radius(radii):
    with pytest.raises(ConfigError, match="radii"):
        build(radii=radii)
