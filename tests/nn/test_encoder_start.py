"""What of a published encoder's file a pretraining encoder takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from gigakit.core.errors import CheckpointError
from gigakit.nn.backbones.longnet import LongNet
from gigakit.nn.backbones.vit import VisionTransformer
from gigakit.nn.encoder_start import start_encoder

FILE = Path("teacher_checkpoint.pth")


def encoder(**changes):
    settings = {
        "image_size": 32, "patch_size": 8, "width": 24, "depth": 4, "heads": 2, "layer_scale": 1.0,
        "ffn": "swiglu", "mlp_ratio": 5.5, "maskable": True,
    }  # fmt: skip
    return VisionTransformer(**{**settings, **changes})


def as_dinov2(state, prefix="backbone."):
    """Name a state dict as DINOv2's training code does, in chunks of two blocks."""
    named = {"dino_head.mlp.0.weight": torch.zeros(3, 3)}
    for name, value in state.items():
        name = name.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3")
        if name.startswith("blocks."):
            name = f"blocks.{int(name.split('.')[1]) // 2}.{name.removeprefix('blocks.')}"
        named[prefix + name] = value
    return named


def start(own, state):
    return start_encoder(own.state_dict(), state, where=FILE)


def test_dinov2s_layout_with_mask_token_and_registers():
    own, published = encoder(registers=4), encoder(registers=4)
    found = start(own, as_dinov2(published.state_dict()))
    assert found.tensors.keys() == own.state_dict().keys()
    assert (found.initial, found.unused, found.resized) == ((), (), "")
    own.load_state_dict(found.tensors)
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(own(images), published(images))


def test_positions_are_resized_to_the_grid_of_another_image_size():
    published = encoder(image_size=56)
    found = start(encoder(), as_dinov2(published.state_dict()))
    assert found.resized == "positions resized from 7 x 7 to 4 x 4"
    table = published.pos_embed.detach()
    grid = table[:, 1:].reshape(1, 7, 7, 24).permute(0, 3, 1, 2)
    resized = functional.interpolate(grid, (4, 4), mode="bicubic", antialias=True)
    expected = torch.cat([table[:, :1], resized.permute(0, 2, 3, 1).reshape(1, 16, 24)], dim=1)
    assert torch.equal(found.tensors["pos_embed"], expected)


def test_what_the_file_lacks_or_has_too_much_is_told():
    bare = encoder(maskable=False).state_dict()
    found = start(encoder(registers=2), bare)
    assert found.initial == ("mask_token", "register_tokens")
    assert found.tensors.keys() == bare.keys()
    found = start(encoder(maskable=False), encoder().state_dict())
    assert found.unused == ("mask_token",)
    assert found.tensors.keys() == bare.keys()


def test_half_precision_becomes_the_encoders():
    found = start(encoder(), encoder().half().state_dict())
    assert {tensor.dtype for tensor in found.tensors.values()} == {torch.float32}


def test_gigapaths_file_starts_the_giant(shared):
    folder = shared / "reference/slide_encoder"
    listed = json.loads((folder / "tile_encoder_state_dict_keys.json").read_text())["keys"]
    state = {name: torch.empty(shape, device="meta") for name, shape in listed.items()}
    with torch.device("meta"):
        giant = VisionTransformer(
            width=1536, depth=40, heads=24, mlp_ratio=5.33334, ffn="swiglu", layer_scale=1e-5,
            maskable=True,
        )  # fmt: skip
    found = start(giant, state)
    assert len(found.tensors) == 566
    assert found.initial == ("mask_token",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 3}, r"14 unexpected .*file has width 24, 4 blocks.*encoder width 24, 3 blocks"),
        ({"depth": 5}, "14 missing"),
        ({"width": 48}, "misshapen"),
        ({"patch_size": 16}, r"1 misshapen .*patches of 8 px.*patches of 16 px"),
        ({"ffn": "mlp", "mlp_ratio": 4.0}, r"SwiGLU.*MLP"),
        ({"layer_scale": None}, r"8 unexpected .*no LayerScale"),
        ({"biases": False}, "16 unexpected"),
    ],
)
def test_another_architecture_is_refused(changes, message):
    with pytest.raises(CheckpointError, match=message):
        start(encoder(**changes), encoder().state_dict())


def test_other_registers_and_other_networks_are_refused():
    with pytest.raises(CheckpointError, match=r"1 unexpected \(register_tokens\)"):
        start(encoder(), encoder(registers=4).state_dict())
    with pytest.raises(CheckpointError, match=r"register_tokens \(1, 4, 24\) instead of"):
        start(encoder(registers=2), encoder(registers=4).state_dict())
    slides = LongNet(input_dim=6, width=24, depth=2, heads=4)
    with pytest.raises(CheckpointError, match="the file has no blocks of a tile encoder"):
        start(encoder(), slides.state_dict())
