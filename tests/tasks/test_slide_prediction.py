"""The supervised objective: its modes, its parts, what it refuses."""

from __future__ import annotations

import pytest
import torch

from gigakit.core.errors import ConfigError
from gigakit.engine.init_from import init_from
from gigakit.nn.weights import write_safetensors
from gigakit.registry import BACKBONES, OBJECTIVES

ENCODER = {"type": "LongNet", "width": 16, "depth": 2, "heads": 4}
LONG_NET = {"type": "LongNetAggregator", "encoder": ENCODER, "layers": [1, 2]}


def build(aggregator, output_dim=3, **arguments):
    torch.manual_seed(0)
    config = {"aggregator": aggregator, "input_dim": 6, "output_dim": output_dim, **arguments}
    return OBJECTIVES.build({"type": "SlidePrediction", **config})


def batch():
    padding = torch.arange(9)[None] >= torch.tensor([[9], [5]])
    return {
        "features": torch.randn(2, 9, 6),
        "grid": torch.rand(2, 9, 2) * 10,
        "padding_mask": padding,
        "label": torch.tensor([2, 0]),
        "seed": torch.tensor([1, 2]),
        "slide_id": ["one", "two"],
        "patient_id": ["p", "q"],
    }


AGGREGATORS = [
    {"type": "MeanPooling"},
    {"type": "MaxPooling"},
    {"type": "AttentionMil", "gated": True},
    {"type": "TransMil", "width": 16, "heads": 2},
    {"type": "Clam", "width": 8},
    {"type": "Clam", "width": 8, "branches": "multi"},
    LONG_NET,
]


@pytest.mark.parametrize("aggregator", AGGREGATORS, ids=lambda config: config["type"])
def test_every_aggregator_runs_in_bf16(aggregator):
    model = build(aggregator).eval()
    given = batch()
    exact = model(**given, mode="tensor")
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(**given, mode="tensor")
        total, _ = model.parse_losses(model(**given, mode="loss"))
    total.backward()
    assert (rough.float() - exact).abs().max() < 0.05
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("aggregator", AGGREGATORS, ids=lambda config: config["type"])
def test_every_aggregator_trains_and_predicts(aggregator):
    model = build(aggregator)
    losses = model(**batch(), mode="loss")
    total, _ = model.parse_losses(losses)
    total.backward()
    assert total.isfinite()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert any(g.abs().sum() > 0 for g in gradients)
    slides = model.eval()(**batch(), mode="predict")
    assert [slide["slide_id"] for slide in slides] == ["one", "two"]
    assert [slide["patient_id"] for slide in slides] == ["p", "q"]
    for slide, length in zip(slides, (9, 5), strict=True):
        assert slide["probability"].sum().item() == pytest.approx(1.0)
        assert slide.get("attention", torch.zeros(length)).shape == (length,)


def test_the_loss_of_tiles_counts_by_its_weight():
    model = build({"type": "Clam", "width": 8, "instance_weight": 0.25}).eval()
    given = batch()
    losses = model(**given, mode="loss")
    slide = model.loss(model(**{**given, "label": None}, mode="tensor"), given["label"])
    assert losses["slide_loss"].item() == pytest.approx(0.75 * slide.item(), rel=1e-5)
    assert losses["tile_loss"].item() > 0


@pytest.mark.parametrize("prefix", ["", "encoder.", "slide_encoder."])
def test_a_slide_encoders_weights_start_it_strictly(tmp_path, prefix):
    torch.manual_seed(5)
    encoder = BACKBONES.build({"input_dim": 6, **ENCODER})
    state = {f"{prefix}{name}": value for name, value in encoder.state_dict().items()}
    if prefix:
        # what lies beside the encoder in a run or a released checkpoint
        state["decoder.head.weight"] = torch.zeros(2, 2)
    write_safetensors(state, tmp_path / "encoder.safetensors")
    model = build(LONG_NET)
    head = model.head.linear.weight.clone()
    report = init_from(model, tmp_path / "encoder.safetensors")
    own = model.aggregator.encoder.state_dict()
    assert all(torch.equal(own[name], value) for name, value in encoder.state_dict().items())
    assert torch.equal(model.head.linear.weight, head)
    assert len(report.matched) == len(own)


def test_an_aggregator_without_an_encoder_says_so(tmp_path):
    encoder = BACKBONES.build({"input_dim": 6, **ENCODER})
    write_safetensors(encoder.state_dict(), tmp_path / "encoder.safetensors")
    with pytest.raises(ConfigError, match="no slide encoder"):
        init_from(build({"type": "MeanPooling"}), tmp_path / "encoder.safetensors")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_dim": None}, "input_dim"),
        ({"output_dim": None}, "output_dim"),
        (
            {"aggregator": {"type": "Clam"}, "loss": {"type": "MultiLabelLoss"}},
            "needs classes",
        ),
    ],
)
def test_what_it_refuses(arguments, message):
    config = {"aggregator": {"type": "MeanPooling"}, "input_dim": 6, "output_dim": 3}
    with pytest.raises(ConfigError, match=message):
        OBJECTIVES.build({"type": "SlidePrediction", **config, **arguments})


def test_a_loss_needs_labels():
    with pytest.raises(ConfigError, match="no label"):
        build({"type": "MeanPooling"})(**{**batch(), "label": None}, mode="loss")
