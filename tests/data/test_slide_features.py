"""The dataset of feature files."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader

from gigakit.core.errors import ConfigError, StoreError
from gigakit.registry import DATASETS, FUNCTIONS

AUGMENTATIONS = [{"type": "CropWindow"}, {"type": "FlipGrid"}, {"type": "ShiftGrid"}]


def build(folder, **changes):
    return DATASETS.build({"type": "SlideFeatures", "root": str(folder), **changes})


def same(one, two):
    return all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        for a, b in zip(one.values(), two.values(), strict=True)
    )


def test_an_item_is_a_function_of_seed_and_draw(feature_folder):
    data = build(feature_folder, augmentations=AUGMENTATIONS, masking={"type": "RandomTokens"})
    assert same(data[(1, 7)], data[(1, 7)])
    assert not same(data[(1, 7)], data[(1, 8)])
    other = build(
        feature_folder, augmentations=AUGMENTATIONS, masking={"type": "RandomTokens"}, seed=1
    )
    assert not same(data[(1, 7)], other[(1, 7)])


def test_views_repeat_slides_and_differ(feature_folder):
    data = build(feature_folder, views_per_slide=4, masking={"type": "RandomTokens"})
    assert len(data) == 12
    assert [data[i]["slide_id"] for i in range(4)] == ["slide0", "slide1", "slide2", "slide0"]
    assert torch.equal(data[0]["features"], data[3]["features"])
    assert not torch.equal(data[0]["token_mask"], data[3]["token_mask"])


def test_without_augmentation_a_slide_is_what_is_stored(feature_folder):
    item = build(feature_folder)[2]
    assert item["features"].shape == (60, 12)
    assert item["features"].dtype == torch.float32
    assert item["grid"][11].tolist() == [1.0, 1.0]
    assert "token_mask" not in item


def test_an_order_hides_the_same_tiles(feature_folder):
    masking = {"type": "RandomTokens"}
    kept = build(feature_folder, masking=masking)[(1, 7)]
    ordered = build(feature_folder, masking=masking, order={"type": "TileOrder", "by": "random"})
    item = ordered[(1, 7)]
    assert not torch.equal(item["grid"], kept["grid"])

    def hidden(view):
        return {tuple(place) for place in view["grid"][view["token_mask"]].tolist()}

    assert hidden(item) == hidden(kept)
    assert same(item, ordered[(1, 7)])


def test_lengths_are_known_without_reading_features(feature_folder, monkeypatch):
    monkeypatch.setattr("gigakit.data.feature_folder.read_features", None)
    assert build(feature_folder, views_per_slide=2).lengths == [40, 50, 60] * 2
    assert build(feature_folder, lengths=[4, 5, 6]).lengths == [4, 5, 6]
    with pytest.raises(ConfigError, match=r"SlideFeatures\.lengths"):
        build(feature_folder, lengths=[4, 5])


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_the_worker_count(feature_folder, workers):
    data = build(feature_folder, augmentations=AUGMENTATIONS, views_per_slide=2)
    keys = [(i, 10 + i) for i in range(6)]
    loader = DataLoader(
        data, batch_size=3, sampler=keys, num_workers=workers,
        collate_fn=FUNCTIONS.get("pad_slides"),
    )  # fmt: skip
    batches = list(loader)
    assert [batch["slide_id"] for batch in batches] == [["slide0", "slide1", "slide2"]] * 2
    length = len(data[keys[4]]["features"])
    assert torch.equal(batches[1]["features"][1, :length], data[keys[4]]["features"])
    assert batches[1]["seed"][1] == data[keys[4]]["seed"]


def test_missing_folders_and_files_are_told(feature_folder, tmp_path):
    with pytest.raises(ConfigError, match=r"SlideFeatures\.root"):
        DATASETS.build({"type": "SlideFeatures"})
    with pytest.raises(StoreError, match="holds no feature files"):
        build(tmp_path)
    with pytest.raises(StoreError, match="no such feature file"):
        build(feature_folder, slide_ids=["slide0", "slide9"])
    with pytest.raises(ConfigError, match="views_per_slide"):
        build(feature_folder, views_per_slide=0)
