"""Global and local views: resizing, statistics of boxes, mirrors."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from gigakit.core.errors import ConfigError
from gigakit.core.seeding import random_generator
from gigakit.data.crops import area_boxes, render_crops
from gigakit.registry import AUGMENTATIONS

ASPECT = (3 / 4, 4 / 3)


def build(**changes):
    return AUGMENTATIONS.build({"type": "MultiCrop", **changes})


@pytest.fixture
def tile():
    return np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [48, 96])
def test_a_crop_is_resized_as_published(shared, size):
    reference = np.load(shared / "reference/ssl/augmentation_ops.npz")
    box = reference["crop_ijhw"][None]
    still = np.zeros((1, 3), dtype=np.int64)
    view = render_crops(reference["image"], box, still, size, "exact")[0].permute(1, 2, 0).numpy()
    off = np.abs(view.astype(int) - reference[f"resized_crop_{size}"])
    assert np.quantile(off, 0.999) <= 2
    fast = render_crops(reference["image"], box, still, size, "fast")[0].permute(1, 2, 0).numpy()
    assert 0 < np.abs(fast.astype(int) - reference[f"resized_crop_{size}"]).mean() < 3


@pytest.mark.parametrize(
    ("name", "scale"), [("global_0.32_1.0", (0.32, 1.0)), ("local_0.05_0.32", (0.05, 0.32))]
)
def test_boxes_have_the_published_statistics(shared, name, scale):
    text = (shared / "reference/ssl/augmentation_statistics.json").read_text()
    expected = json.loads(text)[f"rrc_{name}"]
    draws = 20_000
    boxes = area_boxes(random_generator(0), draws, (256, 256), scale, ASPECT)
    area = boxes[:, 2] * boxes[:, 3] / 256**2
    # the reference is a sample too, of 5,000 crops or so: its error counts beside ours
    error = area.std() * np.sqrt(1 / draws + 1 / 5000)
    assert abs(area.mean() - expected["area_mean"]) < 3 * error
    assert np.quantile(area, [0.05, 0.5, 0.95]) == pytest.approx(expected["area_q"], abs=0.015)
    ratio = np.log(boxes[:, 3] / boxes[:, 2])
    error = ratio.std() * np.sqrt(1 / draws + 1 / 5000)
    assert abs(ratio.mean() - expected["aspect_log_mean"]) < 3 * error
    assert ratio.min() == pytest.approx(np.log(expected["aspect_min"]), abs=0.02)
    assert ratio.max() == pytest.approx(np.log(expected["aspect_max"]), abs=0.02)


def test_boxes_lie_inside_and_reach_every_border():
    boxes = area_boxes(random_generator(1), 5000, (60, 80), (0.05, 1.0), ASPECT)
    top, left, height, width = boxes.T
    assert boxes.min() >= 0
    assert (top + height).max() == 60
    assert (left + width).max() == 80
    assert (top.min(), left.min()) == (0, 0)


@pytest.mark.parametrize(
    ("shape", "box"), [((30, 90), (0, 25, 30, 40)), ((90, 30), (25, 0, 40, 30))]
)
def test_where_nothing_fits_the_largest_central_box_counts(shape, box):
    # a whole area of a tile three times as long as wide fits no allowed aspect ratio
    boxes = area_boxes(random_generator(0), 50, shape, (1.0, 1.0), ASPECT)
    assert (boxes == box).all()


def test_views_have_their_counts_and_sizes(tile):
    views = build()(tile, random_generator(0))
    assert views["global_crops"].shape == (2, 3, 224, 224)
    assert views["local_crops"].shape == (8, 3, 96, 96)
    assert {view.dtype for view in views.values()} == {torch.uint8}
    one = build(global_count=1, local_count=0, local_px=32)(tile, random_generator(0))
    assert one["global_crops"].shape == (1, 3, 224, 224)
    assert one["local_crops"].shape == (0, 3, 32, 32)


def test_a_draw_is_repeated_by_its_seed(tile):
    first, same, other = (build()(tile, random_generator(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["global_crops"], other["global_crops"])


@pytest.mark.parametrize("resize", ["exact", "fast"])
def test_turns_move_pixels_and_change_none(tile, resize):
    box = np.array([[0, 0, 256, 256]])
    plain = render_crops(tile, box, np.array([[0, 0, 0]]), 256, resize)[0].numpy()
    assert np.array_equal(plain, tile.transpose(2, 0, 1))
    for turn, moved in {
        (1, 0, 0): plain[:, :, ::-1],
        (0, 1, 0): plain[:, ::-1],
        (0, 0, 1): np.rot90(plain, 1, (1, 2)),
        (1, 0, 3): np.rot90(plain[:, :, ::-1], 3, (1, 2)),
    }.items():
        view = render_crops(tile, box, np.array([turn]), 256, resize)[0].numpy()
        assert np.array_equal(view, moved)


def test_mirrors_and_turns_happen_as_often_as_told():
    augment = build(horizontal_flip=0.5, vertical_flip=0.25, right_angles=0.75)
    turns = augment.turns.draw(random_generator(0), 8000)
    assert turns[:, 0].mean() == pytest.approx(0.5, abs=0.017)
    assert turns[:, 1].mean() == pytest.approx(0.25, abs=0.015)
    for quarters in (1, 2, 3):
        assert (turns[:, 2] == quarters).mean() == pytest.approx(0.25, abs=0.015)


def test_a_tile_smaller_than_a_view_is_enlarged():
    tile = np.full((40, 40, 3), 77, dtype=np.uint8)
    views = build()(tile, random_generator(0))
    assert views["global_crops"].shape == (2, 3, 224, 224)
    assert (views["global_crops"] == 77).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"global_count": 0}, r"MultiCrop\.global_count: got 0; give 1 or more"),
        ({"local_count": -1}, r"MultiCrop\.local_count: got -1; give 0 or more"),
        ({"local_px": 0}, r"MultiCrop\.local_px: got 0; give at least 1 px"),
        ({"global_scale": (0.5, 1.2)}, r"got \(0\.5, 1\.2\); give the least and the largest"),
        ({"local_scale": (0.3, 0.1)}, r"MultiCrop\.local_scale"),
        ({"aspect": (0, 1)}, r"MultiCrop\.aspect"),
        ({"vertical_flip": 1.5}, r"MultiCrop\.vertical_flip: got 1\.5; give 0 to 1"),
        ({"resize": "nearest"}, "resize is 'nearest'; give exact or fast"),
    ],
)
def test_what_cannot_be_is_told(changes, message):
    with pytest.raises(ConfigError, match=message):
        build(**changes)
