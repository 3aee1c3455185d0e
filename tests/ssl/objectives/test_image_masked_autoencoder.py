"""The masked autoencoder over pixels: the published arrays, seeds, batches, errors."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from contracts.tiles import ENCODER, MONITORS, ONE_NETWORK, PREPROCESSOR, OneNetworkContract
from safetensors.torch import load_file

from gigakit.core.errors import ConfigError
from gigakit.registry import FUNCTIONS, OBJECTIVES

CONFIG = {
    "type": "ImageMaskedAutoencoder",
    "encoder": {
        "type": "VisionTransformer", "image_size": 64, "patch_size": 8,
        "width": 32, "depth": 2, "heads": 4,
    },
    "decoder": {"type": "PatchDecoder", "width": 24, "depth": 2, "heads": 3},
}  # fmt: skip
SMALL = {
    "encoder": {**CONFIG["encoder"], "image_size": 16, "patch_size": 4, "depth": 1},
    "decoder": {**CONFIG["decoder"], "depth": 1},
}


def build(**changes):
    torch.manual_seed(0)
    return OBJECTIVES.build({**CONFIG, **changes})


def batch(seeds=(3, 4, 5), views=1, size=16):
    def image(seed, view):
        generator = torch.Generator().manual_seed(100 * seed + view)
        return torch.randn(3, size, size, generator=generator)

    crops = [torch.stack([image(seed, view) for seed in seeds]) for view in range(views)]
    return {"global_crops": torch.stack(crops), "seed": torch.tensor(seeds)}


@pytest.fixture
def published(shared):
    folder = shared / "reference/ssl"
    with np.load(folder / "mae.npz") as file:
        arrays = {key: torch.from_numpy(np.asarray(value)) for key, value in file.items()}
    arrays["images"] = (arrays["imgs_int8_div32"].float() / 32)[None]
    weights = load_file(folder / "mae_tiny.safetensors")
    order = json.loads((folder / "mae_tiny.json").read_text())["grad_norm_param_order"]
    return arrays, weights, order


def ours(name):
    """Return the name of a published parameter here."""
    for theirs, here in (
        ("decoder_pred", "decoder.predict"),
        ("decoder_", "decoder."),
        ("mask_token", "decoder.mask_token"),
    ):
        if name.startswith(theirs):
            return here + name.removeprefix(theirs)
    return f"encoder.{name}"


def as_published(weights, **changes):
    model = build(**changes)
    state = {ours(name): weight for name, weight in weights.items()}
    # fixed tables are by formula
    assert torch.equal(state.pop("decoder.pos_embed"), model.decoder.positions[None])
    assert torch.equal(state["encoder.pos_embed"], model.encoder.pos_embed)
    model.load_state_dict(state, strict=True)
    return model


@pytest.mark.parametrize("target", ["raw", "normalized"])
@pytest.mark.parametrize("part", [75, 50])
def test_losses_are_the_published_ones(published, target, part):
    arrays, weights, _ = published
    loss = {"type": "MaskedEmbeddingLoss", "target": target}
    model = as_published(weights, mask_ratio=part / 100, loss=loss)
    found = model(arrays["images"], noise=arrays["noise"], mode="loss")["loss"]
    key = f"normpix{int(target == 'normalized')}_r{part}_loss"
    assert found.item() == pytest.approx(arrays[key].item(), rel=1e-6)


def test_tokens_predictions_and_gradients_are_the_published_ones(published):
    arrays, weights, order = published
    model = as_published(weights)
    given = {"global_crops": arrays["images"], "noise": arrays["noise"]}
    latent = model.encode(arrays["images"][0], arrays["r75_ids_restore"].argsort(dim=1)[:, :16])
    torch.testing.assert_close(latent, arrays["r75_latent"], rtol=0, atol=2e-5)
    torch.testing.assert_close(model(**given), arrays["r75_pred"], rtol=0, atol=5e-6)
    model(**given, mode="loss")["loss"].backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert sorted(trained) == sorted(ours(name) for name in order)
    norms = torch.stack([trained[ours(name)].grad.double().norm() for name in order])
    torch.testing.assert_close(norms, arrays["normpix1_r75_grad_norms"], rtol=1e-5, atol=1e-7)


def test_an_image_loses_the_same_patches_in_any_batch():
    model = build(**SMALL).double()
    given = batch(views=2)
    given["global_crops"] = given["global_crops"].double()
    together = model(**given).unflatten(0, (2, 3))
    for image in range(3):
        alone = model(given["global_crops"][:, image : image + 1], given["seed"][image : image + 1])
        torch.testing.assert_close(alone, together[:, image])
    # parts of a batch have parts of its loss: two processes equal one
    losses = [
        model(given["global_crops"][:, part], given["seed"][part], mode="loss")["loss"]
        for part in (slice(0, 1), slice(1, 2), slice(2, 3))
    ]
    torch.testing.assert_close(sum(losses) / 3, model(**given, mode="loss")["loss"])


def test_noise_differs_between_images_views_and_seeds():
    model = build(**SMALL)
    noise = model._noise(6, torch.tensor([3, 4, 5]))
    assert noise.shape == (6, 16)
    assert len({tuple(row) for row in noise.tolist()}) == 6
    assert torch.equal(model._noise(2, torch.tensor([4])), noise[1::3])


def test_pixels_that_were_taken_away_do_not_reach_the_prediction():
    model = build(**SMALL).eval()
    given = batch()
    noise = torch.rand(3, 16, generator=torch.Generator().manual_seed(0))
    before = model(given["global_crops"], noise=noise)
    hidden = (noise.argsort(dim=1).argsort(dim=1) >= 4).reshape(3, 1, 4, 4)
    pixels = hidden.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    assert torch.equal(model(given["global_crops"].masked_fill(pixels, 9.0), noise=noise), before)
    assert not torch.equal(model(given["global_crops"] + 1.0, noise=noise), before)


def test_gradients_reach_all_but_fixed_positions():
    model = build(**SMALL)
    model(**batch(), mode="loss")["loss"].backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == ["encoder.pos_embed"]
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    learned = build(**SMALL, fixed_positions=False)
    learned(**batch(), mode="loss")["loss"].backward()
    assert learned.encoder.pos_embed.grad.abs().sum() > 0


def test_it_learns_what_follows_from_the_visible_patches():
    model = build(**SMALL, loss={"type": "MaskedEmbeddingLoss"})
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for step in range(60):
        # images of one colour each
        images = torch.randn(1, 16, 3, 1, 1, generator=generator).expand(-1, -1, -1, 16, 16)
        seed = torch.arange(16 * step, 16 * step + 16)
        loss = model(images, seed, mode="loss")["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.2 * sum(losses[:5])


@pytest.mark.parametrize("feature", ["cls", "mean"])
def test_it_embeds_whole_images_and_carries_what_the_batch_tells(feature):
    model = build(**SMALL, feature=feature).eval()
    images = batch()["global_crops"][0]
    rows = model(
        images=images,
        label=torch.tensor([1, 0, 2]),
        case=["a", "a", "b"],
        split=("train", "train", "test"),
        masks=torch.zeros(3, 16),
        mode="predict",
    )
    tokens = model.encoder.tokens(images)
    expected = tokens[:, 0] if feature == "cls" else tokens[:, 1:].mean(dim=1)
    assert torch.equal(torch.stack([row["features"] for row in rows]), expected)
    assert [set(row) for row in rows] == [{"features", "label", "case", "split"}] * 3
    assert [(row["label"], row["case"], row["split"]) for row in rows] == [
        *((1, "a", "train"), (0, "a", "train"), (2, "b", "test"))
    ]
    shown = model.health(**batch())["features"]
    assert torch.equal(shown, expected)


@pytest.mark.parametrize(
    "changes", [{"mask_ratio": 1.0}, {"mask_ratio": -0.1}, {"feature": "patches"}]
)
def test_unusable_settings_are_refused(changes):
    with pytest.raises(ConfigError, match="model"):
        build(**changes)


@pytest.mark.parametrize("tokens", [{"registers": 4}, {"maskable": True}])
def test_an_encoder_with_tokens_that_nothing_trains_is_refused(tokens):
    with pytest.raises(ConfigError, match="registers=0"):
        build(**SMALL | {"encoder": SMALL["encoder"] | tokens})


def test_a_batch_without_what_it_needs_is_refused():
    model = build(**SMALL)
    with pytest.raises(ConfigError, match="seed or noise"):
        model(batch()["global_crops"], mode="loss")
    with pytest.raises(ConfigError, match="global_crops"):
        model(seed=torch.tensor([1]), mode="loss")
    with pytest.raises(ConfigError, match="images"):
        model(**batch(), mode="predict")
    with pytest.raises(ConfigError, match="image_size, 16"):
        model(**batch(size=32), mode="loss")


def test_from_the_collate_function_to_the_loss():
    preparation = {"type": "gigakit.TileViews", "photometric": [{"type": "HedJitter"}]}
    model = build(**SMALL, data_preprocessor=preparation)
    crops = torch.randint(0, 256, (3, 1, 3, 16, 16), dtype=torch.uint8)
    samples = [
        {
            "global_crops": crop,
            "local_crops": torch.zeros(0, 3, 8, 8, dtype=torch.uint8),
            "seed": 2**62 + image,
            "image_id": str(image),
        }
        for image, crop in enumerate(crops)
    ]
    together = FUNCTIONS.get("collate_views")(samples)
    losses = [
        model(**model.data_preprocessor(FUNCTIONS.get("collate_views")([one]), True), mode="loss")
        for one in samples
    ]
    whole = model(**model.data_preprocessor(together, True), mode="loss")["loss"]
    torch.testing.assert_close(sum(loss["loss"] for loss in losses) / 3, whole)


class TestImageMaskedAutoencoder(OneNetworkContract):
    config = {
        "type": "ImageMaskedAutoencoder",
        "encoder": ENCODER,
        "decoder": {"type": "PatchDecoder", "width": 24, "depth": 1, "heads": 3},
        "data_preprocessor": PREPROCESSOR,
    }
    changes = {
        **ONE_NETWORK,
        "train_dataloader.dataset.views.global_count": 1,
        "train_dataloader.dataset.views.local_count": 0,
        "custom_hooks": [*MONITORS, {"type": "ViewPictureHook"}],
    }

    @pytest.fixture(scope="class")
    @classmethod
    def drawn(cls, one_tile):
        return {**one_tile, "train_dataloader.batch_size": 1}
