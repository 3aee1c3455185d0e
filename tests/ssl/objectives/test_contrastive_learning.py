"""Contrastive learning of tiles: its loss, several processes, predictions, errors."""

from __future__ import annotations

import pytest
import torch
from contracts.ranks import in_two_processes
from contracts.tiles import ENCODER, MONITORS, ONE_NETWORK, PREPROCESSOR, OneNetworkContract
from torch.nn import functional

from gigakit.core.errors import ConfigError
from gigakit.registry import LOSSES, OBJECTIVES

CONFIG = {
    "type": "ContrastiveLearning",
    "encoder": {
        "type": "VisionTransformer", "image_size": 16, "patch_size": 8,
        "width": 16, "depth": 1, "heads": 2,
    },
    "projector": {"type": "ProjectionMlp", "hidden": 24, "output_dim": 8},
}  # fmt: skip


def build(**changes):
    torch.manual_seed(0)
    return OBJECTIVES.build({**CONFIG, **changes})


def crops(views=2, images=4):
    return torch.randn(views, images, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def test_the_loss_is_that_of_the_projections_of_two_views():
    model, given = build().double(), crops().double()
    projected = model(given)
    assert projected.shape == (2, 4, 8)
    for view in range(2):
        alone = model.projector(model.encoder(given[view]))
        torch.testing.assert_close(projected[view], alone)
    z = functional.normalize(projected.flatten(0, 1), dim=-1)
    expected = 0.0
    for i in range(8):
        scores = [(z[i] @ z[j] / 0.5).exp() for j in range(8) if j != i]
        expected -= ((z[i] @ z[(i + 4) % 8] / 0.5).exp() / sum(scores)).log() / 8
    torch.testing.assert_close(model(given, mode="loss")["loss"], expected)
    # further views, local crops and masks play no part
    more = torch.cat([given, given])
    other = {"local_crops": torch.zeros(0, 4, 3, 8, 8), "seed": torch.arange(4)}
    assert torch.equal(model(more, mode="loss", **other)["loss"], model(given, mode="loss")["loss"])


def test_gradients_reach_every_parameter():
    for feature in ("cls", "mean"):
        model = build(feature=feature)
        model(crops(), mode="loss")["loss"].backward()
        assert [name for name, p in model.named_parameters() if p.grad is None] == []
        assert all(p.grad.isfinite().all() for p in model.parameters())


def test_it_learns_to_tell_images_apart():
    model = build(loss={"type": "SimClrLoss", "temperature": 0.2})
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(1, 8, 3, 16, 16, generator=generator)
    losses = []
    for _ in range(40):
        views = images + 0.3 * torch.randn(2, 8, 3, 16, 16, generator=generator)
        loss = model(views, mode="loss")["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


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


def test_registers_are_no_part_of_the_mean_and_sizes_may_differ():
    model = build(feature="mean", encoder={**CONFIG["encoder"], "registers": 3}).eval()
    larger = torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(2))
    seen = model.encoder.forward_views([larger])[0]
    assert seen.patches.shape[1] == 9
    torch.testing.assert_close(model.embed(larger), seen.patches.mean(dim=1))


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="feature"):
        build(feature="tokens")
    with pytest.raises(ConfigError, match="maskable"):
        build(encoder={**CONFIG["encoder"], "maskable": True})
    with pytest.raises(ConfigError, match="1 global crops"):
        build()(crops(views=1), mode="loss")
    with pytest.raises(ConfigError, match="images"):
        build()(crops(), mode="predict")


def gathering():
    return LOSSES.build({"type": "SimClrLoss", "gather": True})


def rank(number):
    model = build(loss={"type": "SimClrLoss", "gather": True}).double()
    given = crops(images=6).double()
    loss = model(given[:, 3 * number : 3 * number + 3], mode="loss")["loss"]
    loss.backward()
    # as data-parallel training averages them
    found = [loss.detach().clone(), *(p.grad for p in model.parameters())]
    for value in found:
        torch.distributed.all_reduce(value)
        value /= 2
    whole = build().double()
    expected = whole(given, mode="loss")["loss"]
    expected.backward()
    for value, wanted in zip(found, [expected, *(p.grad for p in whole.parameters())], strict=True):
        torch.testing.assert_close(value, wanted.detach(), rtol=1e-10, atol=1e-12)


def test_two_processes_that_gather_have_the_loss_and_gradients_of_one(tmp_path):
    in_two_processes(rank, tmp_path)


def test_a_single_process_gathers_itself():
    one, other = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0))
    alone = LOSSES.build({"type": "SimClrLoss"})(one, other)
    assert torch.equal(gathering()(one, other), alone)


def test_half_precision_around_it_changes_nothing():
    one, other = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0))
    loss = LOSSES.build({"type": "SimClrLoss", "temperature": 0.1})
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss(one, other)
    assert torch.equal(inside, loss(one, other))


class TestContrastiveLearning(OneNetworkContract):
    config = {
        "type": "ContrastiveLearning",
        "encoder": ENCODER,
        "projector": {"type": "ProjectionMlp", "hidden": 24, "output_dim": 8},
        "loss": {"type": "SimClrLoss", "gather": True},
        "data_preprocessor": PREPROCESSOR,
    }
    changes = {
        **ONE_NETWORK,
        "train_dataloader.dataset.views.local_count": 0,
        "custom_hooks": [*MONITORS, {"type": "ViewPictureHook"}],
    }

    @pytest.fixture(scope="class")
    @classmethod
    def drawn(cls, one_tile):
        # it draws nothing itself; its network drops paths
        return {**one_tile, "model.encoder.drop_path": 0.5}
