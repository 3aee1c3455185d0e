"""Masks of image patches: published statistics, exact numbers, shapes, independence of a batch."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gigakit.core.errors import ConfigError
from gigakit.registry import MASKINGS

NAMES = ("BlockMasks", "InverseBlockMasks", "RandomPatchMasks")
DRAWS = 1500


def build(name="BlockMasks", **settings):
    return MASKINGS.build({"type": name, **settings})


def generator(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def published(shared):
    return json.loads((shared / "reference/ssl/mask_statistics.json").read_text())


@pytest.mark.parametrize("side", [14, 16])
def test_blocks_fall_short_as_often_as_the_published_ones(published, side):
    rng = generator(side)
    found = published[f"{side}x{side}"]["requested"]
    assert len(found) == 11
    for wanted, row in found.items():
        # every crop is masked, with exactly this many patches asked for
        ratio = (int(wanted) + 0.5) / side**2
        masking = build(probability=1.0, ratio=(ratio, ratio))
        counts = masking.draw(DRAWS, side, side, rng).sum(axis=1)
        assert counts.max() <= int(wanted)
        exact = (counts == int(wanted)).mean()
        share = row["frac_exact"]
        error = np.sqrt((exact * (1 - exact) + share * (1 - share)) / DRAWS)
        assert abs(exact - share) <= 3 * error, wanted
        error = counts.std() * np.sqrt(2 / DRAWS)
        assert abs(counts.mean() - row["mean"]) <= 3 * error, wanted
        assert np.quantile(counts, 0.05) == row["q05"]


def test_ratios_of_a_batch_are_the_published_ones(published):
    rng = generator(1)
    for row in published["collate"]:
        crops = 2 * row["batch"]
        settings = {"probability": row["mask_probability"], "ratio": row["ratio"]}
        masking = build(**settings)
        masks = np.stack([masking.draw(crops, 14, 14, rng) for _ in range(200)])
        assert set((masks.sum(axis=2) > 0).sum(axis=1)) == set(row["n_masked_images"])
        total = masks.sum(axis=(1, 2))
        error = total.std() * np.sqrt(2 / len(total))
        assert abs(total.mean() - row["total_masked_mean"]) <= 3 * error
        # the published upper bound is what exact masks have, in every batch
        exact = build(exact=True, **settings)
        assert {int(exact.draw(crops, 14, 14, rng).sum()) for _ in range(5)} == {*row["upperbound"]}


def test_each_stratum_of_ratios_is_taken_once_by_crops_at_random():
    masking, rng = build("RandomPatchMasks"), generator()
    rows = np.zeros(8)
    for _ in range(200):
        counts = masking.draw(8, 20, 20, rng).sum(axis=1)
        rows += counts > 0
        edges = np.linspace(40, 200, 5)
        assert np.searchsorted(edges, np.sort(counts[counts > 0]), side="right").tolist() == [
            *(1, 2, 3, 4)
        ]
    # each crop is masked half of the time: 100 of 200, deviation 7
    assert abs(rows - 100).max() < 4 * 7.1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("grid", [(14, 14), (6, 6), (3, 5), (1, 4), (2, 2)])
def test_any_grid_and_any_number_of_crops(name, grid):
    height, width = grid
    for seed in range(20):
        masking = build(name, probability=1.0, ratio=(0.0, 1.0))
        masks = masking.draw(5, height, width, generator(seed))
        assert masks.dtype == np.bool_
        assert masks.shape == (5, height * width)
    assert not build(name, probability=0.0).draw(3, height, width, generator()).any()
    assert build(name).draw(0, height, width, generator()).shape == (0, height * width)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("BlockMasks", {"exact": True}), ("InverseBlockMasks", {}), ("RandomPatchMasks", {})],
)
def test_exact_numbers(name, settings):
    for part in (0.0, 0.01, 0.3, 0.65, 0.9, 1.0):
        masking = build(name, probability=1.0, ratio=(part, part), **settings)
        masks = masking.draw(20, 14, 14, generator(3))
        assert set(masks.sum(axis=1)) == {int(196 * part)}


def test_blocks_hang_together_and_random_patches_do_not():
    def neighbours(name):
        masks = build(name, probability=1.0, ratio=(0.3, 0.3)).draw(50, 14, 14, generator())
        masks = masks.reshape(-1, 14, 14)
        return (masks[:, 1:] & masks[:, :-1]).sum() / masks[:, 1:].sum()

    assert neighbours("BlockMasks") > 0.7
    assert neighbours("RandomPatchMasks") == pytest.approx(0.3, abs=0.03)


def test_the_inverse_of_a_block_is_nearly_one_block():
    masks = build("InverseBlockMasks").draw(50, 14, 14, generator()).reshape(-1, 14, 14)
    visible = ~masks
    # rolled over the edges, a rectangle's patches mostly have their neighbours
    beside = [(visible & np.roll(visible, 1, axis)).sum() / visible.sum() for axis in (1, 2)]
    assert min(beside) > 0.75
    assert np.abs(visible.mean(axis=0) - visible.mean()).max() < 0.3


def test_a_shift_spreads_blocks_evenly_over_the_grid():
    settings = {"probability": 1.0, "ratio": (0.3, 0.3), "exact": True}
    plain, shifted = (
        build(shift=shift, **settings).draw(1500, 14, 14, generator()).mean(axis=0)
        for shift in (False, True)
    )
    # inner patches are hit by more rectangles than corners
    assert plain.std() > 0.05
    assert shifted.std() < 0.02


@pytest.mark.parametrize("name", NAMES)
def test_per_image_crops_are_masked_one_by_one(name):
    masking = build(name, probability=0.5, ratio=(0.1, 0.5), per_image=True)
    rng = generator(5)
    numbers = [int((masking.draw(2, 14, 14, rng).sum(axis=1) > 0).sum()) for _ in range(400)]
    # of two crops none, one or both, as two coins fall
    assert np.bincount(numbers, minlength=3) / 400 == pytest.approx([0.25, 0.5, 0.25], abs=0.07)


@pytest.mark.parametrize("name", NAMES)
def test_masks_follow_from_the_generator_alone(name):
    masking = build(name)
    again = masking.draw(8, 14, 14, generator(1))
    assert np.array_equal(masking.draw(8, 14, 14, generator(1)), again)
    assert not np.array_equal(masking.draw(8, 14, 14, generator(2)), again)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "settings", [{"probability": 1.1}, {"ratio": (0.5, 0.1)}, {"ratio": (0.1,)}, {"ratio": (0, 2)}]
)
def test_parts_out_of_range_are_refused(name, settings):
    with pytest.raises(ConfigError, match=name):
        build(name, **settings)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("BlockMasks", {"min_patches": 0}),
        ("BlockMasks", {"min_aspect": 0.0}),
        ("InverseBlockMasks", {"min_aspect": 2.0}),
    ],
)
def test_impossible_rectangles_are_refused(name, settings):
    with pytest.raises(ConfigError, match="min_"):
        build(name, **settings)
