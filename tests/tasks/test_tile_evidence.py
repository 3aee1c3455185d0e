"""Contributions of tiles: they add up to the model's own outputs, exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gigakit.engine.heatmaps import against_others
from gigakit.registry import OBJECTIVES
from gigakit.tasks.heatmap_pictures import attention_map, contribution_map, signed_colours
from gigakit.tasks.tile_evidence import tile_evidence

WIDTH, OUTPUTS, TILES = 6, 3, 11
LONG_NET = {
    "type": "LongNetAggregator", "layers": [1],
    "encoder": {"width": 16, "depth": 2, "heads": 2},
}  # fmt: skip


def model_of(aggregator, **parts):
    torch.manual_seed(0)
    config = {"aggregator": aggregator, "input_dim": WIDTH, "output_dim": OUTPUTS, **parts}
    return OBJECTIVES.build({"type": "SlidePrediction", **config}).eval()


def slide():
    generator = torch.Generator().manual_seed(1)
    places = torch.arange(TILES)
    grid = torch.stack([places % 4, places // 4], dim=1).double()
    return torch.randn(TILES, WIDTH, generator=generator), grid


@pytest.mark.parametrize(
    "aggregator",
    [
        {"type": "AttentionMil", "widths": [8]},
        {"type": "AttentionMil", "widths": [], "gated": True},
        {"type": "Clam", "width": 8, "branches": "single"},
        {"type": "Clam", "width": 8, "branches": "multi"},
        {"type": "MeanPooling"},
    ],
    ids=lambda config: "-".join(map(str, config.values())),
)
def test_contributions_and_bias_sum_to_the_outputs(aggregator):
    model, (features, grid) = model_of(aggregator), slide()
    found = tile_evidence(model, features, grid)
    outputs = model(features[None], grid[None])[0].detach().numpy()
    assert found.contribution.shape == (OUTPUTS, TILES)
    assert np.abs(found.contribution).max() > 1e-3
    np.testing.assert_allclose(found.contribution.sum(axis=1) + found.bias, outputs, atol=1e-6)
    np.testing.assert_allclose(found.attention.sum(axis=1), 1.0, atol=1e-6)
    assert found.missing == ()


def test_a_contribution_is_attention_times_the_tiles_own_logit():
    model, (features, grid) = model_of({"type": "AttentionMil", "widths": []}), slide()
    found = tile_evidence(model, features, grid)
    # a slide of one tile has attention 1
    for tile in range(TILES):
        alone = model(features[None, tile : tile + 1], grid[None, tile : tile + 1])[0].detach()
        own = alone.numpy() - found.bias
        np.testing.assert_allclose(
            found.contribution[:, tile], found.attention[0, tile] * own, atol=1e-6
        )


def test_against_the_other_classes_probabilities_stay():
    found = tile_evidence(model_of({"type": "AttentionMil"}), *slide())
    centred = against_others(found)
    total = centred.contribution.sum(axis=1) + centred.bias
    np.testing.assert_allclose(total, centred.outputs, atol=1e-6)
    before, after = (torch.tensor(x.outputs).softmax(0) for x in (found, centred))
    torch.testing.assert_close(before, after)
    np.testing.assert_allclose(centred.contribution.sum(axis=0), 0.0, atol=1e-6)


@pytest.mark.parametrize(
    ("aggregator", "parts", "missing"),
    [
        ({"type": "AttentionMil"}, {"head": {"type": "MlpHead"}}, ["MlpHead"]),
        ({"type": "TransMil", "width": 16, "heads": 2}, {}, ["no attention", "no contribution"]),
        ({"type": "MaxPooling"}, {}, ["no attention", "no contribution"]),
        ({**LONG_NET, "pooling": "mean"}, {}, ["no attention", "no contribution"]),
        (LONG_NET, {}, ["no contribution"]),
    ],
    ids=str,
)
def test_what_is_not_known_is_said(aggregator, parts, missing):
    found = tile_evidence(model_of(aggregator, **parts), *slide())
    assert found.contribution is None
    assert (found.attention is None) == ("no attention" in missing)
    assert len(found.missing) == len(missing)
    for word, told in zip(missing, found.missing, strict=True):
        assert word in told


def test_attention_of_the_slide_encoders_cls_leaves_out_its_own_token():
    found = tile_evidence(model_of(LONG_NET), *slide())
    assert found.attention.shape == (1, TILES)
    assert 0 < found.attention.sum() < 1
    assert found.attention_is == "attention of cls in block 1"


def test_colours_are_symmetric_about_white():
    blue, white, red = signed_colours(np.array([-2.0, 0.0, 1.0]), 1.0).astype(int)
    assert (white == 247).all()
    assert blue[2] > blue[0] + 100
    assert red[0] > red[2] + 100


def test_maps_without_an_overview_light_the_right_cell():
    grid = np.array([[float(i % 4), float(i // 4)] for i in range(12)])
    values = np.zeros(12)
    values[6], values[1] = 1.0, -1.0
    picture = contribution_map(values, grid, "c")[44:]
    cells = picture[7 : 3 * 14 : 14, 7 : 4 * 14 : 14].astype(int)
    assert np.argwhere(cells[..., 0] < 100).tolist() == [[0, 1]]
    assert np.argwhere(cells[..., 2] < 100).tolist() == [[1, 2]]
    # a slide of very many columns stays a picture of moderate size
    long = np.stack([np.arange(3000.0), np.zeros(3000)], axis=1)
    assert attention_map(np.full(3000, 1 / 3000), long, "a").shape[1] == 6000
