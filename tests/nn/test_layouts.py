"""Published key maps, both ways."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gigakit.core.errors import CheckpointError, ConfigError
from gigakit.nn.backbones.longnet import LongNet
from gigakit.nn.backbones.vit import VisionTransformer
from gigakit.nn.layouts import encoder_state, write_published
from gigakit.nn.weights import load_encoder

GIGAPATH = {"mlp_ratio": 5.33334, "ffn": "swiglu", "layer_scale": 1e-5}


def tile_encoder(**changes):
    return VisionTransformer(
        **{"image_size": 32, "width": 24, "depth": 3, "heads": 2, **GIGAPATH, **changes}
    )


def slide_encoder():
    return LongNet(input_dim=6, width=16, depth=2, heads=4)


def same(state, other):
    return list(state) == list(other) and all(torch.equal(state[k], other[k]) for k in state)


def as_dinov2(state, *, chunk):
    """Name a state dict as DINOv2's code does, by its own reading of that code."""
    named = {"mask_token": torch.zeros(1, 24)}
    for name, value in state.items():
        name = name.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3")
        if chunk and name.startswith("blocks."):
            index = int(name.split(".")[1])
            name = f"blocks.{index // chunk}.{name.removeprefix('blocks.')}"
        named[name] = value
    return named


def on_meta(path, name=None):
    entry = json.loads(path.read_text())
    keys = (entry[name] if name else entry)["keys"]
    return {key: torch.empty(shape, device="meta") for key, shape in keys.items()}


def test_the_full_published_key_maps_load_strictly(shared, tmp_path):
    folder = shared / "reference" / "slide_encoder"
    tile = on_meta(folder / "tile_encoder_state_dict_keys.json")
    slide = on_meta(folder / "slide_encoder_state_dict_keys.json", "gigapath_slide_enc12l768d")
    assert (len(tile), len(slide)) == (566, 247)
    dinov2 = as_dinov2(tile, chunk=10)
    assert "blocks.3.39.mlp.w12.weight" in dinov2
    with torch.device("meta"):
        encoders = [VisionTransformer(width=1536, depth=40, heads=24, **GIGAPATH) for _ in "ab"]
        encoders.append(LongNet(input_dim=1536))
    for encoder, state in zip(encoders, (tile, dinov2, slide), strict=True):
        report = encoder.load_state_dict(encoder_state(state), assign=True)
        assert not report.missing_keys
        assert not report.unexpected_keys


def test_loaded_weights_give_the_published_numbers(shared):
    folder = shared / "reference" / "slide_encoder"
    arrays = np.load(folder / "tile_encoder_tiny.npz")
    model = load_encoder(
        lambda: tile_encoder(image_size=64, width=48, heads=4),
        folder / "tile_encoder_tiny.weights.safetensors",
    )
    with torch.inference_mode():
        out = model.eval()(torch.from_numpy(arrays["x"]).float())
    assert np.abs(out.numpy() - arrays["out"]).max() < 2e-5


@pytest.mark.parametrize("chunk", [0, 2])
@pytest.mark.parametrize("prefix", ["", "module.", "backbone."])
def test_dinov2s_own_layout_gives_the_same_network(tmp_path, chunk, prefix):
    model = tile_encoder()
    state = {prefix + k: v for k, v in as_dinov2(model.state_dict(), chunk=chunk).items()}
    if prefix == "backbone.":
        state["dino_head.mlp.0.weight"] = torch.zeros(3, 3)
    torch.save({"teacher": state}, tmp_path / "teacher_checkpoint.pth")
    loaded = load_encoder(tile_encoder, tmp_path / "teacher_checkpoint.pth")
    assert same(model.state_dict(), loaded.state_dict())


def test_a_finetuned_slide_encoder_is_found_under_its_prefix(tmp_path):
    model = slide_encoder()
    state = {f"slide_encoder.{k}": v for k, v in model.state_dict().items()}
    torch.save({**state, "classifier.0.weight": torch.zeros(2, 16)}, tmp_path / "w.pth")
    assert same(model.state_dict(), load_encoder(slide_encoder, tmp_path / "w.pth").state_dict())


def test_half_precision_files_become_float32(tmp_path):
    model = slide_encoder().half()
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    loaded = load_encoder(slide_encoder, tmp_path / "w.safetensors")
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert same(model.float().state_dict(), loaded.state_dict())


def test_what_does_not_belong_is_told(tmp_path):
    state = tile_encoder().state_dict()
    torch.save({**state, "register_tokens": torch.zeros(1, 4, 24)}, tmp_path / "more.pth")
    with pytest.raises(CheckpointError, match=r"1 unexpected \(register_tokens"):
        load_encoder(tile_encoder, tmp_path / "more.pth")
    torch.save(slide_encoder().state_dict(), tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="does not fit VisionTransformer: 43 missing"):
        load_encoder(tile_encoder, tmp_path / "other.pth")


@pytest.mark.parametrize("kind", ["tile", "slide"])
def test_import_and_export_give_the_published_file_byte_for_byte(tmp_path, kind):
    make = {"tile": tile_encoder, "slide": slide_encoder}[kind]
    state = dict(make().state_dict())
    published = io.BytesIO()
    torch.save({"model": state} if kind == "slide" else state, published)
    (tmp_path / "published").write_bytes(published.getvalue())
    loaded = load_encoder(make, tmp_path / "published")
    write_published(loaded.state_dict(), tmp_path / "exported", "published")
    assert (tmp_path / "exported").read_bytes() == published.getvalue()


@pytest.mark.parametrize("ffn", ["swiglu", "mlp"])
def test_dinov2s_layout_is_written_and_read_back(tmp_path, ffn):
    model = tile_encoder(ffn=ffn)
    write_published(model.state_dict(), tmp_path / "w.pth", "dinov2")
    written = torch.load(tmp_path / "w.pth", weights_only=True)
    assert ("blocks.0.mlp.w12.weight" in written) == (ffn == "swiglu")
    assert ("blocks.0.mlp.fc1.weight" in written) == (ffn == "mlp")
    loaded = load_encoder(lambda: tile_encoder(ffn=ffn), tmp_path / "w.pth")
    assert same(model.state_dict(), loaded.state_dict())


@pytest.mark.parametrize("layout", ["published", "dinov2"])
def test_the_mask_token_goes_to_dinov2s_code_alone(tmp_path, layout):
    model = tile_encoder(maskable=True)
    write_published(model.state_dict(), tmp_path / "w.pth", layout)
    written = torch.load(tmp_path / "w.pth", weights_only=True)
    assert ("mask_token" in written) == (layout == "dinov2")
    loaded = load_encoder(tile_encoder, tmp_path / "w.pth").state_dict()
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.items())
    assert model.state_dict().keys() - loaded.keys() == {"mask_token"}


def test_what_cannot_be_published_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="unknown layout 'timm'; choose from published, dinov2"):
        write_published(slide_encoder().state_dict(), tmp_path / "w.pth", "timm")
    with pytest.raises(CheckpointError, match="DINOv2's layout is that of tile encoders"):
        write_published(slide_encoder().state_dict(), tmp_path / "w.pth", "dinov2")
    with pytest.raises(CheckpointError, match="not those of one encoder"):
        write_published(nn.Linear(2, 2).state_dict(), tmp_path / "w.pth", "published")
    assert list(tmp_path.iterdir()) == []
