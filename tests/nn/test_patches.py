"""Patches of images against the published arrays and naive loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gigakit.core.errors import ConfigError
from gigakit.nn.patches import keep_least, patch_positions, patchify


@pytest.fixture
def arrays(shared):
    with np.load(shared / "reference/ssl/mae.npz") as file:
        return {key: torch.from_numpy(np.asarray(value)) for key, value in file.items()}


def test_patches_have_the_published_order(arrays):
    images = arrays["imgs_int8_div32"][:1].float() / 32
    assert torch.equal(patchify(images, 8), arrays["patchify"])


def test_patches_of_an_image_that_is_not_square():
    image = torch.arange(2 * 4 * 6).reshape(1, 2, 4, 6)
    naive = [
        [int(image[0, c, top + y, left + x]) for y in range(2) for x in range(2) for c in range(2)]
        for top in (0, 2)
        for left in (0, 2, 4)
    ]
    assert patchify(image, 2)[0].tolist() == naive


@pytest.mark.parametrize("case", ["r75", "r50", "odd"])
def test_the_same_patches_are_taken_away(arrays, case):
    noise = arrays["odd_noise" if case == "odd" else "noise"]
    kept, mask, restore = keep_least(noise, 0.5 if case == "r50" else 0.75)
    assert torch.equal(mask.float(), arrays[f"{case}_mask"])
    assert torch.equal(restore, arrays[f"{case}_ids_restore"])
    if case == "odd":
        tokens = torch.take_along_dim(arrays["odd_tokens"], kept.unsqueeze(-1), dim=1)
        assert torch.equal(tokens, arrays["odd_kept"])


@pytest.mark.parametrize(("ratio", "visible"), [(0.0, 10), (0.9, 1), (0.99, 1), (0.71, 2)])
def test_how_many_patches_stay(ratio, visible):
    kept, mask, _ = keep_least(torch.rand(3, 10, generator=torch.Generator().manual_seed(0)), ratio)
    assert kept.shape == (3, visible)
    assert mask.sum(dim=1).tolist() == [10 - visible] * 3


def test_positions_are_the_published_table(arrays):
    found = patch_positions(32, 5, 5)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), arrays["sincos_2d_cls"], rtol=0, atol=1e-7)
    wide = patch_positions(8, 2, 3)
    # the first half tells the column, the second the row
    assert torch.equal(wide[1, :4], wide[4, :4])
    assert torch.equal(wide[1, 4:], wide[3, 4:])
    assert not torch.equal(wide[1, :4], wide[2, :4])
    with pytest.raises(ConfigError, match="multiple of 4"):
        patch_positions(30, 2, 2)
