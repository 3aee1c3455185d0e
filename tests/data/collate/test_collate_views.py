"""Batches of crops and their masks."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict

from gigakit.core.errors import ConfigError
from gigakit.data.collate.collate_views import masked_patches
from gigakit.registry import FUNCTIONS, MASKINGS

BLOCKS = {"type": "BlockMasks"}


def sample(seed, *, local=3, size=32):
    return {
        "global_crops": torch.full((2, 3, size, size), seed % 100, dtype=torch.uint8)
        + torch.tensor([0, 100], dtype=torch.uint8)[:, None, None, None],
        "local_crops": torch.full((local, 3, 16, 16), seed % 100, dtype=torch.uint8),
        "seed": seed,
        "image_id": f"tile {seed}",
    }


def collate(seeds, masking=BLOCKS, patch_size=4, constant=False, multiple_of=1, **changes):
    function = functools.partial(
        FUNCTIONS.get("collate_views"),
        patch_size=patch_size,
        masking=masking,
        constant=constant,
        multiple_of=multiple_of,
    )
    return function([sample(seed, **changes) for seed in seeds])


def test_indices_and_weights_are_the_published_ones(shared):
    with np.load(shared / "reference/ssl/collate.npz") as arrays:
        found = masked_patches(torch.from_numpy(arrays["masks"]))
        assert found["mask_indices"].tolist() == arrays["mask_indices"].tolist()
        assert found["mask_indices"].dtype == torch.int64
        assert torch.equal(found["mask_weights"], torch.from_numpy(arrays["masks_weight"]))
        order = arrays["global_order"], arrays["local_order"]
    # four images of two global and three local crops, numbered as in the reference
    samples = [
        {
            "global_crops": 10.0 * image + torch.arange(2)[:, None, None, None],
            "local_crops": 100.0 + 10 * image + torch.arange(3)[:, None, None, None],
            "seed": 0,
            "image_id": "",
        }
        for image in range(4)
    ]
    batch = FUNCTIONS.get("collate_views")(samples)
    for name, wanted in zip(("global_crops", "local_crops"), order, strict=True):
        assert batch[name].flatten().tolist() == wanted.flatten().tolist()


def test_crops_are_stacked_crop_by_crop():
    batch = collate([2**62 + 1, 7])
    assert batch["global_crops"].shape == (2, 2, 3, 32, 32)
    assert batch["global_crops"].dtype == torch.uint8
    assert batch["global_crops"][:, 1, 0, 0, 0].tolist() == [7, 107]
    assert batch["local_crops"].shape == (3, 2, 3, 16, 16)
    assert batch["seed"].tolist() == [2**62 + 1, 7]
    assert batch["image_id"] == [f"tile {2**62 + 1}", "tile 7"]
    assert collate([1, 2], local=0)["local_crops"].shape == (0, 2, 3, 16, 16)


def test_masks_have_their_places_and_weights():
    batch = collate(range(6))
    masks = batch["masks"]
    assert masks.shape == (12, 64)
    assert batch["mask_indices"].tolist() == np.flatnonzero(masks.numpy()).tolist()
    assert batch["mask_weights"].dtype == torch.float32
    sums = torch.zeros(12).index_add(0, batch["mask_indices"] // 64, batch["mask_weights"])
    torch.testing.assert_close(sums, masks.any(dim=1).float())
    assert masks.any(dim=1).sum() == 6


def test_without_masking_there_are_no_masks():
    assert set(collate([1, 2], masking=None)) == {
        *("global_crops", "local_crops", "seed", "image_id")
    }
    nothing = collate([1, 2], masking={**BLOCKS, "probability": 0.0})
    assert nothing["mask_indices"].shape == nothing["mask_weights"].shape == (0,)


def test_the_same_images_have_the_same_masks():
    assert torch.equal(collate([3, 4])["masks"], collate([3, 4])["masks"])
    assert torch.equal(collate([3, 4], ConfigDict(BLOCKS))["masks"], collate([3, 4])["masks"])
    assert not torch.equal(collate([3, 4])["masks"], collate([5, 4])["masks"])


@pytest.mark.parametrize("name", ["BlockMasks", "InverseBlockMasks", "RandomPatchMasks"])
def test_masks_per_image_do_not_depend_on_the_batch(name):
    masking = {"type": name, "per_image": True, "probability": 0.7}
    together = collate(range(6), masking)["masks"].unflatten(0, (2, 6))
    halves = [
        collate(part, masking)["masks"].unflatten(0, (2, 3)) for part in ([0, 1, 2], [3, 4, 5])
    ]
    assert torch.equal(together, torch.cat(halves, dim=1))
    assert together.any()
    # two crops of an image have masks of their own
    assert not torch.equal(together[0], together[1])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="patches of 5 px"):
        collate([1], patch_size=5)
    with pytest.raises(ConfigError, match="does not mask images"):
        collate([1], masking={"type": "RandomTokens"})
    with pytest.raises(ConfigError, match="no multiples of 0"):
        collate([1], multiple_of=0)


@pytest.mark.parametrize("kind", ["BlockMasks", "InverseBlockMasks", "RandomPatchMasks"])
@pytest.mark.parametrize("per_image", [False, True])
def test_batches_of_one_size_have_one_shape_where_it_is_asked_for(kind, per_image):
    if kind == "InverseBlockMasks":
        masking = {"type": kind, "per_image": per_image}
    else:
        masking = {"type": kind, "ratio": [0.1, 0.5], "per_image": per_image}
    lengths = set()
    for first in range(0, 60, 6):
        plain = collate(range(first, first + 6), masking)
        filled = collate(range(first, first + 6), masking, constant=True)
        count = int(filled["mask_count"])
        assert count == len(plain["mask_indices"])
        for name in ("mask_indices", "mask_weights"):
            assert torch.equal(filled[name][:count], plain[name])
            assert not filled[name][count:].any()
        lengths.add(len(filled["mask_indices"]))
    assert len(lengths) == 1


def test_what_fills_up_to_a_multiple_is_marked():
    for first in range(0, 60, 6):
        plain = collate(range(first, first + 6))
        filled = collate(range(first, first + 6), multiple_of=32)
        count = int(filled["mask_count"])
        assert count == len(plain["mask_indices"])
        assert len(filled["mask_indices"]) % 32 == 0
        assert count <= len(filled["mask_indices"]) < count + 32
        for name in ("mask_indices", "mask_weights"):
            assert torch.equal(filled[name][:count], plain[name])
            assert not filled[name][count:].any()


def test_the_length_is_the_published_upper_bound():
    # 8 images of 14 x 14 patches in reference/ssl/mask_statistics.json
    assert MASKINGS.build(BLOCKS).counts.most(16, 196) == 507
    assert collate(range(8), constant=True)["mask_indices"].shape == (
        sum(int(64 * (0.1 + 0.05 * (i + 1))) for i in range(8)),
    )
