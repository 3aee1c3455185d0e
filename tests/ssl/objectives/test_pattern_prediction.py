"""Prediction of patches' texture: its loss, masks, what it learns, errors, and its contract."""

from __future__ import annotations

import pytest
import torch
from contracts.tiles import ENCODER, MONITORS, ONE_NETWORK, PREPROCESSOR, OneNetworkContract

from gigakit.core.errors import ConfigError
from gigakit.registry import OBJECTIVES

CONFIG = {
    "type": "PatternPrediction",
    "encoder": {
        "type": "VisionTransformer", "image_size": 16, "patch_size": 8, "width": 16, "depth": 1,
        "heads": 2, "stem": "convolutional",
    },
    "data_preprocessor": {"type": "TileViews"},
}  # fmt: skip


def build(**changes):
    torch.manual_seed(0)
    return OBJECTIVES.build({**CONFIG, **changes})


def crops(views=1, images=4, seed=1):
    """Return normalised crops, every other one of them smoothed."""
    values = torch.randint(
        0, 256, (views, images, 3, 16, 16), generator=torch.Generator().manual_seed(seed)
    ).float()
    smooth = torch.nn.functional.avg_pool2d(values[:, 1::2].flatten(0, 1), 3, 1, 1)
    values[:, 1::2] = smooth.unflatten(0, (views, -1))
    scale = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    return (values / 255 - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / scale


def test_the_loss_is_that_of_each_patch_and_its_own_pixels():
    model, given = build(), crops(views=2)
    predictions = model(given)
    assert predictions.shape == (8, 4, 54)
    rows = given.flatten(0, 1)
    seen = model.encoder.tokens(rows)[:, 1:]
    torch.testing.assert_close(predictions[3, 2], model.head.linear(seen[3, 2]))
    scale = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    offset = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    expected = build().loss(predictions, (rows * scale + offset) * 255)
    torch.testing.assert_close(model(given, mode="loss")["loss"], expected)


def test_gradients_reach_every_parameter():
    for maskable in (False, True):
        model = build(encoder={**CONFIG["encoder"], "maskable": maskable, "depth": 2})
        model(crops(), mode="loss")["loss"].backward()
        without = [name for name, p in model.named_parameters() if p.grad is None]
        assert without == []


def test_hidden_patches_are_predicted_from_what_is_around():
    model = build(encoder={**CONFIG["encoder"], "maskable": True, "stem": "linear"}).eval()
    given = crops()
    masks = torch.zeros(4, 4, dtype=torch.bool)
    masks[:, 1] = True
    changed = given.clone()
    changed[..., :8, 8:] = 0
    torch.testing.assert_close(model(given, masks=masks), model(changed, masks=masks))
    assert not torch.allclose(model(given), model(changed))


def test_it_learns_texture():
    model = build()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for step in range(60):
        loss = model(crops(images=16, seed=step), mode="loss")["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.75 * sum(losses[:5])


@pytest.mark.parametrize("feature", ["cls", "mean"])
def test_it_embeds_whole_images_and_carries_what_the_batch_tells(feature):
    model = build(feature=feature).eval()
    images = crops()[0]
    rows = model(images=images, label=torch.arange(4), image_id=list("abcd"), mode="predict")
    tokens = model.encoder.tokens(images)
    expected = tokens[:, 0] if feature == "cls" else tokens[:, 1:].mean(dim=1)
    assert torch.equal(torch.stack([row["features"] for row in rows]), expected)
    assert [(row["label"], row["image_id"]) for row in rows] == list(enumerate("abcd"))
    assert torch.equal(model.health(crops())["features"], expected)


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="feature"):
        build(feature="tokens")
    with pytest.raises(ConfigError, match="mean and std"):
        build(data_preprocessor=None)
    with pytest.raises(ConfigError, match="needs global_crops"):
        build()(mode="loss")
    with pytest.raises(ConfigError, match="needs images"):
        build()(crops(), mode="predict")
    with pytest.raises(ConfigError, match="maskable"):
        build()(crops(), masks=torch.ones(4, 4, dtype=torch.bool))


class TestPatternPrediction(OneNetworkContract):
    config = {
        "type": "PatternPrediction",
        "encoder": {**ENCODER, "stem": "convolutional", "maskable": True},
        "loss": {"type": "LocalPatternLoss", "radii": [1, 2]},
        "data_preprocessor": PREPROCESSOR,
    }
    # with masks, each image's own: a batch of two processes hides the same patches as one
    changes = {
        **ONE_NETWORK,
        "train_dataloader.collate_fn.masking": {"type": "BlockMasks", "per_image": True},
        "train_dataloader.dataset.views.global_count": 1,
        "train_dataloader.dataset.views.local_count": 0,
        "custom_hooks": [*MONITORS, {"type": "ViewPictureHook"}],
    }

    # it draws nothing itself: masks are the batch's, as in the contract of self-distillation
    test_masks_differ_from_draw_to_draw_and_rank_to_rank = None
