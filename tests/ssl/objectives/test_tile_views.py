"""Batches of crops and images on their way to the encoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gigakit.core.errors import ConfigError
from gigakit.registry import AUGMENTATIONS, OBJECTIVES

DINOV2 = [{"type": name} for name in ("ColorJitter", "RandomGrey", "GaussianBlur", "Solarize")]
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def build(**changes):
    return OBJECTIVES.build({"type": "TileViews", **changes})


def batch_of(images=4, global_crops=2, local_crops=3):
    generator = torch.Generator().manual_seed(0)

    def crops(count, size):
        shape = (count, images, 3, size, size)
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)

    return {
        "global_crops": crops(global_crops, 32),
        "local_crops": crops(local_crops, 16),
        "seed": torch.arange(100, 100 + images),
        "image_id": [f"tile{n}" for n in range(images)],
        "masks": torch.ones(images * global_crops, 4, dtype=torch.bool),
    }


def part_of(batch, images):
    return {
        "global_crops": batch["global_crops"][:, images],
        "local_crops": batch["local_crops"][:, images],
        "seed": batch["seed"][images],
    }


def test_images_and_crops_are_normalised_as_published(shared):
    reference = np.load(shared / "reference/ssl/augmentation_ops.npz")
    image = torch.from_numpy(reference["image"]).permute(2, 0, 1)
    for training in (False, True):
        out = build()({"images": image[None], "global_crops": image[None, None]}, training)
        assert out["images"][0].numpy() == pytest.approx(reference["normalized"], abs=2e-6)
        assert torch.equal(out["global_crops"][0, 0], out["images"][0])


def test_what_is_no_picture_passes_through_and_the_input_stays():
    batch = batch_of()
    before = batch["global_crops"].clone()
    out = build(photometric=DINOV2)(batch, True)
    assert set(out) == set(batch)
    assert out["global_crops"].shape == (2, 4, 3, 32, 32)
    assert out["local_crops"].shape == (3, 4, 3, 16, 16)
    assert out["global_crops"].dtype == torch.float32
    assert out["image_id"] == batch["image_id"]
    assert torch.equal(out["masks"], batch["masks"])
    assert torch.equal(out["seed"], batch["seed"])
    assert torch.equal(batch["global_crops"], before)
    assert batch["global_crops"].dtype == torch.uint8


def test_colours_change_in_training_alone_and_never_of_images():
    batch = batch_of() | {"images": batch_of()["global_crops"][0]}
    views = build(photometric=DINOV2)
    trained, shown = views(batch, True), views(batch, False)
    plain = (batch["global_crops"].float() / 255 - MEAN) / STD
    torch.testing.assert_close(shown["global_crops"], plain, rtol=0, atol=2e-6)
    changed = (trained["global_crops"] - plain).abs().amax(dim=(2, 3, 4)) > 0.01
    assert changed.float().mean() > 0.5
    assert torch.equal(trained["images"], shown["images"])


def test_an_image_is_the_same_in_every_batch():
    batch, views = batch_of(), build(photometric=[*DINOV2, {"type": "HedJitter"}])
    together = views(batch, True)
    for images in (slice(0, 1), slice(1, 4)):
        alone = views(part_of(batch, images), True)
        for name in ("global_crops", "local_crops"):
            torch.testing.assert_close(alone[name], together[name][:, images], rtol=0, atol=1e-5)
    assert torch.equal(views(batch, True)["local_crops"], together["local_crops"])
    other = views(batch | {"seed": batch["seed"] + 1}, True)
    assert not torch.equal(other["global_crops"][:, 0], together["global_crops"][:, 0])


def test_each_crop_gets_the_parameters_drawn_for_it():
    # grey for the first global view alone, blur for the second, an inversion for the local ones
    chain = [
        {"type": "RandomGrey", "p": (1, 0, 0)},
        {"type": "GaussianBlur", "p": (0, 1, 0), "sigma": (1, 1)},
        {"type": "Solarize", "p": (0, 0, 1), "threshold": 0},
    ]
    batch = batch_of()
    out = build(photometric=chain, mean=(0, 0, 0), std=(1, 1, 1))(batch, True)
    first, second = batch["global_crops"].float()
    grey = (first * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)
    expected = grey.expand(-1, 3, -1, -1) / 255
    torch.testing.assert_close(out["global_crops"][0], expected, rtol=0, atol=1e-5)
    blur = AUGMENTATIONS.build({"type": "GaussianBlur"})
    blurred = blur.apply(second.clone(), torch.tensor([[1.0, 1.0]]).expand(4, 2)) / 255
    torch.testing.assert_close(out["global_crops"][1], blurred, rtol=0, atol=1e-5)
    inverted = 1 - batch["local_crops"].float() / 255
    torch.testing.assert_close(out["local_crops"], inverted, rtol=0, atol=1e-5)


def test_autocast_does_not_touch_colours():
    batch, views = batch_of(), build(photometric=[{"type": "HedJitter", "p": 1.0}])
    plain = views(batch, True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = views(batch, True)
    assert torch.equal(plain["global_crops"], cast["global_crops"])


def test_one_view_and_no_local_crops():
    batch = batch_of(global_crops=1, local_crops=0)
    out = build(photometric=DINOV2)(batch, True)
    assert out["global_crops"].shape == (1, 4, 3, 32, 32)
    assert out["local_crops"].shape == (0, 4, 3, 16, 16)


def test_it_has_nothing_to_save_moves_with_its_model_and_waits_for_no_device():
    # a device without numbers: whatever waits for a result of it would fail
    views = build(photometric=[*DINOV2, {"type": "HedJitter"}])
    assert views.state_dict() == {}
    model = torch.nn.Sequential(views).to("meta")
    assert model[0].device == torch.device("meta")
    out = model[0](batch_of(), True)
    assert out["local_crops"].shape == (3, 4, 3, 16, 16)
    assert out["global_crops"].device.type == "meta"
    assert out["masks"].device.type == "meta"


def test_what_cannot_be_is_told():
    with pytest.raises(ConfigError, match="MultiCrop is no operation on batches"):
        build(photometric=[{"type": "MultiCrop"}])
    with pytest.raises(ConfigError, match=r"TileViews\.mean: got \(0\.5,\); give 3"):
        build(mean=(0.5,))
    batch = batch_of()
    del batch["seed"]
    with pytest.raises(ConfigError, match="a batch of crops needs seed"):
        build(photometric=DINOV2)(batch, True)
