"""The slide encoder against arrays of the published code."""

from __future__ import annotations

import json
import weakref

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gigakit.core.errors import ConfigError
from gigakit.nn.backbones.longnet import LongNet, derive_segment_lengths

RATIOS = [1, 2, 4, 8, 16]
PRECISIONS = [(torch.float64, 1e-10), (torch.float32, 2e-5)]


@pytest.fixture(scope="module")
def folder(shared):
    return shared / "reference" / "slide_encoder"


def tiny(folder, name, dtype):
    case = json.loads((folder / "encoder_tiny.json").read_text())[name]
    segments = derive_segment_lengths(case["max_wsi_size"], case["tile_size"])
    assert segments == case["derived_segment_length"]
    model = LongNet(
        input_dim=case["in_chans"],
        width=case["embed_dim"],
        depth=case["depth"],
        heads=case["heads"],
        mlp_ratio=case["ffn_dim"] / case["embed_dim"],
        attention={
            "type": "DilatedAttention", "segment_lengths": segments, "dilation_ratios": RATIOS,
        },
        dropout=0.0,
        drop_path=0.0,
    )  # fmt: skip
    model.load_state_dict(load_file(folder / f"encoder_{name}.weights.safetensors"))
    return case, model.to(dtype).eval(), np.load(folder / f"encoder_{name}.npz")


def difference(found, expected):
    return (found.detach().double() - torch.from_numpy(expected).double()).abs().max().item()


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("name", ["tiny_short", "tiny_two_segments", "tiny_misaligned"])
def test_published_tokens_and_embeddings(folder, name, dtype, tolerance):
    case, model, arrays = tiny(folder, name, dtype)
    for i, given in enumerate(case["inputs"]):
        key = f"in{i}."
        x = torch.from_numpy(arrays[key + "x"]).to(dtype)
        grid = torch.floor(torch.from_numpy(arrays[key + "coords"]).double() / case["tile_size"])
        hidden = list(model._hidden(x, grid, None))
        layers = model.all_layers(x, grid)
        found = {
            "tokens_in": hidden[0],
            "tokens_last_layer": hidden[-1],
            "tokens_encoder_out": model.encoder.layer_norm(hidden[-1]),
        }
        for pooling, prefix in (("cls", "cls"), ("mean", "pool")):
            model.pooling = pooling
            found[f"{prefix}_last"] = getattr(layers, f"last_{pooling}")
            found[f"{prefix}_all_layers"] = getattr(layers, pooling)
            assert torch.equal(model(x, grid), found[f"{prefix}_last"])
        for what, value in found.items():
            expected = arrays[key + what]
            # long token arrays are stored in float32
            stored = 1e-6 if expected.dtype == np.float32 else 0.0
            assert difference(value, expected) < max(tolerance, stored), (what, given)
        model.pooling = "cls"
        assert torch.equal(model.tokens(x, grid)[:, 0], model(x, grid))


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_published_gradients(folder, dtype, tolerance):
    case, model, arrays = tiny(folder, "tiny_short", dtype)
    x = torch.from_numpy(arrays["in0.x"]).to(dtype)
    grid = torch.floor(torch.from_numpy(arrays["in0.coords"]).double() / case["tile_size"])
    layers = model.all_layers(x, grid).cls
    g = next(key for key in arrays.files if key.endswith("grad.g"))
    (layers * torch.from_numpy(arrays[g]).to(dtype)).sum().backward()
    prefix = g.removesuffix("g") + "param."
    compared = 0
    for name, parameter in model.named_parameters():
        expected = arrays[prefix + name]
        if expected.size == 0:
            assert parameter.grad is None, name
            continue
        scale = max(1.0, float(np.abs(expected).max()))
        assert difference(parameter.grad, expected) < tolerance * scale, name
        compared += 1
    assert compared > 40


def test_published_12_layers_768_dim(folder):
    rules = json.loads((folder / "encoder_12l768d.json").read_text())
    arrays = np.load(folder / "encoder_12l768d.npz")
    model = LongNet(input_dim=1536, dropout=0.0, drop_path=0.0).eval()
    norms = ("norm.weight", "inner_attn_ln.weight", "ffn_layernorm.weight")
    state = {}
    for i, name in enumerate(sorted(model.state_dict())):
        shape = model.state_dict()[name].shape
        z = np.random.default_rng([rules["seed"], i]).standard_normal(shape, dtype=np.float32)
        gain = name.endswith(norms)
        state[name] = torch.from_numpy(1 + np.float32(0.1) * z if gain else np.float32(0.02) * z)
    for name, sums in rules["weight_checksums_sum_abssum"].items():
        z = state[name].double()
        assert [z.sum().item(), z.abs().sum().item()] == pytest.approx(sums, abs=1e-9), name
    model.load_state_dict(state)
    x = np.random.default_rng([rules["seed"], 7000]).standard_normal((700, 1536), dtype=np.float32)
    grid = torch.floor(torch.from_numpy(arrays["coords"]).double() / 256)[None]
    assert np.array_equal(x[:4], arrays["x_first_rows"])
    for dtype, tolerance in PRECISIONS:
        with torch.no_grad():
            found = model.to(dtype).all_layers(torch.from_numpy(x)[None].to(dtype), grid)
            for pooling, prefix in (("cls", "cls"), ("mean", "pool")):
                layers, last = getattr(found, pooling)[:, 0], getattr(found, f"last_{pooling}")
                assert difference(layers, arrays[f"{prefix}_all_layers"]) < tolerance
                assert difference(last, arrays[f"{prefix}_last"]) < tolerance


def test_published_names_and_shapes_of_all_sizes(folder):
    published = json.loads((folder / "slide_encoder_state_dict_keys.json").read_text())
    sizes = {"12l768d": (768, 12), "24l1024d": (1024, 24), "12l1536d": (1536, 12)}
    checked = 0
    for name, entry in published.items():
        size = next((value for key, value in sizes.items() if name.endswith(key)), None)
        if size is None:
            continue
        with torch.device("meta"):
            model = LongNet(input_dim=1536, width=size[0], depth=size[1])
        shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
        assert shapes == entry["keys"]
        assert len(shapes) == entry["n_tensors"]
        assert sum(p.numel() for p in model.parameters()) == entry["total_params"]
        assert sum(p.numel() for p in model.encoder.parameters()) == entry["encoder_params"]
        rates = [block.drop_path.rate for block in model.encoder.layers]
        assert rates == pytest.approx(entry["drop_path_per_layer"])
        assert list(model.attention.branches) == list(
            zip(entry["segment_length"], entry["dilated_ratio"], strict=True)
        )
        checked += 1
    assert checked == 3


def test_published_parameter_counts_of_all_named_configurations(folder):
    configurations = json.loads((folder / "longnet_configs.json").read_text())
    assert len(configurations) == 22
    found = {}
    for name, entry in configurations.items():
        with torch.device("meta"):
            model = LongNet(
                input_dim=4,
                width=entry["dim"],
                depth=entry["layers"],
                heads=entry["heads"],
                mlp_ratio=entry["ffn"] / entry["dim"],
            )
        found[name] = sum(p.numel() for p in model.encoder.parameters())
    assert found == {name: entry["params"] for name, entry in configurations.items()}


def test_derived_segment_lengths(folder):
    listed = json.loads((folder / "derived_segment_lengths.json").read_text())
    entries = listed if isinstance(listed, list) else list(listed.values())
    assert entries
    for entry in entries:
        given = entry["max_wsi_size"], entry["tile_size"]
        key = next(name for name in entry if "segment" in name)
        assert derive_segment_lengths(*given) == entry[key]


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_padded_batch_equals_its_slides(pooling):
    torch.manual_seed(0)
    attention = {
        "type": "DilatedAttention", "segment_lengths": [8, 16], "dilation_ratios": [1, 2],
    }  # fmt: skip
    model = LongNet(
        input_dim=6, width=16, depth=2, heads=4, attention=attention, pooling=pooling
    ).eval()
    x, grid = torch.randn(2, 20, 6), torch.rand(2, 20, 2) * 30
    padding = torch.arange(20)[None] >= torch.tensor([[20], [11]])
    together = model(x, grid, padding_mask=padding)
    alone = model(x[1:, :11], grid[1:, :11])
    assert (together[1:] - alone).abs().max() < 1e-6
    together = model.all_layers(x, grid, padding_mask=padding)
    alone = model.all_layers(x[1:, :11], grid[1:, :11])
    for found, expected in zip(together, alone, strict=True):
        assert (found[..., 1:, :] - expected).abs().max() < 1e-6


def test_layers_are_pooled_as_they_come():
    model = LongNet(input_dim=6, width=16, depth=6, heads=4).eval()
    alive, most = weakref.WeakSet(), []

    def watch(block, inputs, output):
        alive.add(output)
        most.append(len(alive))

    for block in model.encoder.layers:
        block.register_forward_hook(watch)
    with torch.inference_mode():
        model.all_layers(torch.randn(1, 20, 6), torch.rand(1, 20, 2))
    assert max(most) <= 2


def test_autocast_keeps_the_residual_stream_in_float32():
    model = LongNet(input_dim=6, width=16, depth=2, heads=4).eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = model.all_layers(torch.randn(1, 20, 6), torch.rand(1, 20, 2) * 900)
    assert {layers.dtype for layers in found} == {torch.float32}


def test_an_unknown_pooling_is_refused():
    with pytest.raises(ConfigError, match="unknown pooling"):
        LongNet(input_dim=6, width=16, depth=1, heads=4, pooling="max")
