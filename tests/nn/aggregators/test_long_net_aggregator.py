"""The slide encoder as an aggregator: the layers chosen, against arrays of the published code."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from contracts.aggregator import AggregatorContract
from safetensors.torch import load_file

from gigakit.core.errors import ConfigError
from gigakit.nn.backbones.longnet import derive_segment_lengths
from gigakit.registry import AGGREGATORS

ENCODER = {
    "type": "LongNet", "width": 16, "depth": 2, "heads": 4,
    "attention": {
        "type": "DilatedAttention", "segment_lengths": [4, 8], "dilation_ratios": [1, 2],
    },
}  # fmt: skip


class TestLongNetAggregator(AggregatorContract):
    config = {"type": "LongNetAggregator", "encoder": ENCODER, "layers": [0, 2]}
    # tiles are cut into segments in their order
    order_counts = True
    has_attention = False

    def build(self, **changes):
        # the class's dropout makes training steps differ, which no test here is about
        encoder = {**ENCODER, "dropout": 0.0, "drop_path": 0.0}
        return super().build(encoder=encoder, **changes)

    def test_a_frozen_encoder_has_no_gradient_and_no_dropout(self):
        model = super().build(encoder=ENCODER, frozen=True).train()
        x, grid, _ = self.bags((11,))
        one, other = model(x, grid=grid).embedding, model(x, grid=grid).embedding
        assert torch.equal(one, other)
        assert not one.requires_grad
        assert [p for p in model.parameters() if p.requires_grad] == []

    @pytest.mark.parametrize("layers", [[], [3], [-1]])
    def test_layers_that_are_not_there_are_refused(self, layers):
        with pytest.raises(ConfigError, match="0 to 2"):
            self.build(layers=layers)

    def test_an_unknown_pooling_is_refused(self):
        with pytest.raises(ConfigError, match="cls or mean"):
            self.build(pooling="max")

    def test_a_permuted_mean_pool_without_segments_is_the_same(self):
        """Full attention knows places and no order."""
        encoder = {**ENCODER, "attention": {"type": "FullAttention"}}
        torch.manual_seed(0)
        config = {**self.config, "input_dim": 12, "encoder": encoder, "pooling": "mean"}
        model = AGGREGATORS.build(config).double().eval()
        x, grid, _ = self.bags((11,))
        order = torch.randperm(11, generator=torch.Generator().manual_seed(3))
        one = model(x, grid=grid).embedding
        assert (one - model(x[:, order], grid=grid[:, order]).embedding).abs().max() < 1e-10


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_published_layers_lie_side_by_side(shared, pooling):
    folder = shared / "reference" / "slide_encoder"
    case = json.loads((folder / "encoder_tiny.json").read_text())["tiny_short"]
    arrays = np.load(folder / "encoder_tiny_short.npz")
    encoder = {
        "width": case["embed_dim"], "depth": case["depth"], "heads": case["heads"],
        "mlp_ratio": case["ffn_dim"] / case["embed_dim"],
        "attention": {
            "type": "DilatedAttention", "dilation_ratios": [1, 2, 4, 8, 16],
            "segment_lengths": derive_segment_lengths(case["max_wsi_size"], case["tile_size"]),
        },
    }  # fmt: skip
    prefix = "cls" if pooling == "cls" else "pool"
    x = torch.from_numpy(arrays["in0.x"]).double()
    grid = torch.floor(torch.from_numpy(arrays["in0.coords"]).double() / case["tile_size"])
    layers = torch.from_numpy(arrays[f"in0.{prefix}_all_layers"]).double()
    last = torch.from_numpy(arrays[f"in0.{prefix}_last"]).double()
    for chosen, expected in (([0, 1], torch.cat([layers[0], layers[1]], -1)), (None, last)):
        model = AGGREGATORS.build(
            {
                "type": "LongNetAggregator", "input_dim": case["in_chans"], "encoder": encoder,
                "pooling": pooling, "layers": chosen,
            }
        )  # fmt: skip
        model.encoder.load_state_dict(load_file(folder / "encoder_tiny_short.weights.safetensors"))
        found = model.double().eval()(x, grid=grid).embedding
        assert found.shape[1] == model.width
        assert (found - expected.reshape(found.shape)).abs().max() < 1e-6
