"""The tile encoder against timm's numbers and GigaPath's key list."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gigakit.core.errors import ConfigError
from gigakit.nn.backbones.vit import VisionTransformer

GIGAPATH = {"mlp_ratio": 5.33334, "ffn": "swiglu", "layer_scale": 1e-5}


@pytest.fixture(scope="module")
def folder(shared):
    return shared / "reference" / "slide_encoder"


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 2e-5)])
def test_tokens_of_a_small_gigapath_encoder(folder, dtype, tolerance):
    arrays = np.load(folder / "tile_encoder_tiny.npz")
    model = VisionTransformer(image_size=64, width=48, depth=3, heads=4, **GIGAPATH)
    model.load_state_dict(load_file(folder / "tile_encoder_tiny.weights.safetensors"))
    model = model.to(dtype).eval()
    after = []
    model.blocks[0].register_forward_hook(lambda *call: after.append(call[2]))
    x = torch.from_numpy(arrays["x"]).to(dtype)
    assert np.abs(model(x).detach().numpy() - arrays["out"]).max() < tolerance
    assert np.abs(model.tokens(x).detach().numpy() - arrays["features"]).max() < tolerance
    assert np.abs(after[0].detach().numpy() - arrays["after_block0"]).max() < tolerance


def test_gigapath_names_and_shapes(folder):
    published = json.loads((folder / "tile_encoder_state_dict_keys.json").read_text())
    listed = published["keys"]
    with torch.device("meta"):
        model = VisionTransformer(width=1536, depth=40, heads=24, **GIGAPATH)
    shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
    assert len(shapes) == 566
    assert shapes == listed
    assert sum(p.numel() for p in model.parameters()) == 1_134_953_984


@pytest.mark.parametrize("ffn", ["mlp", "swiglu"])
def test_gradients_reach_every_parameter(ffn):
    model = VisionTransformer(image_size=32, width=24, depth=2, heads=3, ffn=ffn, layer_scale=0.1)
    model(torch.randn(2, 3, 32, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    "wrong",
    [{"image_size": 30}, {"heads": 5}, {"ffn": "relu"}, {"ffn": "swiglu", "mlp_ratio": 2.3}],
)
def test_sizes_that_do_not_fit_are_refused(wrong):
    with pytest.raises(ConfigError, match="VisionTransformer"):
        VisionTransformer(**{"image_size": 32, "width": 24, "depth": 1, "heads": 3, **wrong})


def test_images_that_are_no_whole_patches_are_refused():
    model = VisionTransformer(image_size=32, width=24, depth=1, heads=3)
    assert model.tokens(torch.zeros(1, 3, 48, 64)).shape == (1, 13, 24)
    with pytest.raises(ConfigError, match=r"\(48, 40\) px; crop to multiples of patch_size 16"):
        model(torch.zeros(1, 3, 48, 40))
