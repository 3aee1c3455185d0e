"""The masked autoencoder over tile embeddings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from contracts.objective import ObjectiveContract

from gigakit.core.errors import ConfigError
from gigakit.registry import DATASETS, FUNCTIONS, OBJECTIVES

CONFIG = {
    "type": "MaskedAutoencoder",
    "input_dim": 6,
    "encoder": {
        "type": "LongNet", "width": 16, "depth": 2, "heads": 4, "dropout": 0.0, "drop_path": 0.0,
        "attention": {
            "type": "DilatedAttention", "segment_lengths": [4, 16], "dilation_ratios": [1, 2],
        },
    },
    "decoder": {"type": "MaskedDecoder", "width": 16, "depth": 1, "heads": 4},
}  # fmt: skip


def build(**changes):
    torch.manual_seed(0)
    return OBJECTIVES.build({**CONFIG, **changes})


def batch(lengths=(12, 7), seeds=(3, 4)):
    generator = torch.Generator().manual_seed(1)
    longest = max(lengths)
    padding = torch.arange(longest)[None] >= torch.tensor(lengths)[:, None]
    return {
        "features": torch.randn(len(lengths), longest, 6, generator=generator),
        "grid": torch.rand(len(lengths), longest, 2, generator=generator) * 9,
        "padding_mask": padding,
        "seed": torch.tensor(seeds),
        "slide_id": [f"s{i}" for i in range(len(lengths))],
    }


def drawn(model, lengths, seed):
    masks = model._draw_masks(lengths, seed, None)
    return torch.nn.utils.rnn.pad_sequence(masks, batch_first=True)


def test_the_loss_is_that_of_the_predictions_at_hidden_tiles():
    model, given = build().eval(), batch()
    mask = drawn(model, [12, 7], given["seed"])
    predictions = model(**given, mode="tensor")
    assert predictions.shape == (2, 12, 6)
    errors = (predictions - given["features"]).square().mean(dim=-1)
    expected = np.mean([errors[slide, mask[slide]].mean().item() for slide in range(2)])
    assert model(**given, mode="loss")["loss"].item() == pytest.approx(expected)


def test_hidden_embeddings_reach_neither_predictions_nor_padding():
    model, given = build().eval(), batch()
    mask = drawn(model, [12, 7], given["seed"])
    before = model(**given)
    given["features"] = torch.where(
        (mask | given["padding_mask"])[..., None], torch.tensor(1e3), given["features"]
    )
    after = model(**given)
    real = ~given["padding_mask"]
    assert torch.equal(before[real], after[real])


def test_a_slides_mask_depends_on_its_seed_alone():
    model = build()
    both = drawn(model, [12, 7], torch.tensor([3, 4]))
    alone = drawn(model, [7], torch.tensor([4]))
    assert torch.equal(both[1, :7], alone[0])
    assert not both[1, 7:].any()
    other = drawn(model, [12], torch.tensor([5]))
    assert not torch.equal(both[:1], other)


@pytest.mark.parametrize(("ratio", "hidden"), [(0.5, 6), (0.75, 9), (0.9, 11)])
def test_the_mask_ratio_decides_how_many_tiles_are_hidden(ratio, hidden):
    model = build(mask_ratio=ratio)
    mask = drawn(model, [12], torch.tensor([1]))
    assert mask.sum() == hidden


def test_a_batch_predicts_what_its_slides_predict_alone():
    model, given = build().eval(), batch()
    together = model(**given, mode="predict")
    assert [entry["prediction"].shape for entry in together] == [(12, 6), (7, 6)]
    alone = model(
        given["features"][1:, :7],
        given["grid"][1:, :7],
        given["padding_mask"][1:, :7],
        seed=given["seed"][1:],
        mode="predict",
    )
    assert (together[1]["prediction"] - alone[0]["prediction"]).abs().max() < 1e-5
    assert torch.equal(together[1]["token_mask"], alone[0]["token_mask"])


LIGHT = {"type": "LightDecoder", "width": 16, "heads": 4, "neighbours": 5}


@pytest.mark.parametrize("decoder", [CONFIG["decoder"], LIGHT])
def test_packed_slides_have_the_loss_gradients_and_predictions_of_padded_ones(decoder):
    model = build(decoder=decoder).double()
    generator = torch.Generator().manual_seed(2)
    samples = [
        {
            "features": torch.randn(length, 6, generator=generator, dtype=torch.float64),
            "grid": torch.rand(length, 2, generator=generator, dtype=torch.float64) * 9,
            "seed": length,
            "slide_id": f"s{length}",
        }
        for length in (12, 1, 7, 33)
    ]
    found = []
    for collate in ("pad_slides", "pack_slides"):
        given = FUNCTIONS.get(collate)(samples)
        loss = model(**given, mode="loss")["loss"]
        shown = model.health(**given)["features"]
        found.append((loss, *torch.autograd.grad(loss, list(model.parameters())), shown))
        found[-1] += tuple(
            entry["prediction"][entry["token_mask"]] for entry in model(**given, mode="predict")
        )
    for padded, packed in zip(*found, strict=True):
        assert padded.shape == packed.shape
        assert padded.numel() == 0 or (padded - packed).abs().max() < 1e-12


def test_hidden_embeddings_of_packed_slides_do_not_reach_predictions():
    model = build().eval()
    given = {
        "features": torch.randn(1, 19, 6), "grid": torch.rand(1, 19, 2) * 9, "lengths": [12, 7],
        "token_mask": torch.arange(19)[None] % 3 > 0,
    }  # fmt: skip
    before = model(**given)
    given["features"] = given["features"].masked_fill(given["token_mask"][..., None], 1e3)
    assert torch.equal(model(**given), before)


def test_the_encoder_sees_augmented_positions_of_visible_tiles(feature_folder, monkeypatch):
    data = DATASETS.build(
        {
            "type": "SlideFeatures", "root": str(feature_folder),
            "augmentations": [
                {"type": "CropWindow"}, {"type": "FlipGrid", "p": 1.0}, {"type": "ShiftGrid"},
            ],
        }
    )  # fmt: skip
    stored, view = (
        DATASETS.build({"type": "SlideFeatures", "root": str(feature_folder)})[0],
        data[0],
    )
    model = build(input_dim=12)
    seen = {}
    for part, name in ((model.encoder, "tokens"), (model.decoder, "forward")):
        whole = getattr(part, name)

        def record(*given, _whole=whole, _name=name, **more):
            seen[_name] = given
            return _whole(*given, **more)

        monkeypatch.setattr(part, name, record)
    model(**FUNCTIONS.get("pad_slides")([view]), mode="loss")
    features, grid = (x[0] for x in seen["tokens"])
    assert 0 < len(grid) < len(view["grid"])
    # the place of a tile is known by its embedding
    for x, place in zip(features, grid, strict=True):
        (tile,) = (view["features"] == x).all(dim=1).nonzero().flatten().tolist()
        assert torch.equal(place, view["grid"][tile])
        (original,) = (stored["features"] == x).all(dim=1).nonzero().flatten().tolist()
        assert not torch.equal(place, stored["grid"][original])
    assert torch.equal(seen["forward"][1][0], view["grid"])


def test_gradients_reach_every_parameter_that_the_loss_can_see():
    model = build()
    model(**batch(), mode="loss")["loss"].backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None]
    assert silent == []
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_it_learns_a_pattern_of_positions():
    model = build(mask_ratio=0.5)
    given = batch(lengths=(16, 16), seeds=(1, 2))
    given["features"] = given["grid"].float().repeat(1, 1, 3) / 9
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for step in range(60):
        given["seed"] = torch.tensor([2 * step, 2 * step + 1])
        loss = model(**given, mode="loss")["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.2 * sum(losses[:5])


@pytest.mark.parametrize("changes", [{"mask_ratio": 1.0}, {"input_dim": None}])
def test_unusable_settings_are_refused(changes):
    with pytest.raises(ConfigError, match="model"):
        build(**changes)


def test_a_batch_without_mask_or_seed_is_refused():
    given = batch()
    del given["seed"]
    with pytest.raises(ConfigError, match="seed or token_mask"):
        build()(**given)


class TestMaskedAutoencoder(ObjectiveContract):
    recipe = "tiny/slide"
    config = {
        "type": "MaskedAutoencoder",
        "encoder": {
            "type": "LongNet", "width": 16, "depth": 2, "heads": 4,
            "dropout": 0.2, "drop_path": 0.2,
            "attention": {
                "type": "DilatedAttention", "segment_lengths": [4, 16], "dilation_ratios": [1, 2],
            },
        },
        "decoder": {"type": "MaskedDecoder", "width": 16, "depth": 1, "heads": 4},
    }  # fmt: skip
    still = {
        "model.encoder.dropout": 0.0,
        "model.encoder.drop_path": 0.0,
        "train_dataloader.dataset.augmentations": [],
    }

    @pytest.fixture(scope="class")
    @classmethod
    def data(cls, feature_folder):
        return {
            "features": str(feature_folder),
            # 15 draws an epoch, 4 to a step
            "train_dataloader.dataset.views_per_slide": 5,
            # counting takes more than a third of so small a run
            "default_hooks.throughput": None,
        }
