"""The sizes of tile encoders that recipes name."""

from __future__ import annotations

import pytest
import torch

from gigakit.config import load_config
from gigakit.registry import BACKBONES


@pytest.mark.parametrize(
    ("size", "width", "depth", "hidden"),
    [
        ("tiny", 192, 12, 768),
        ("small", 384, 12, 1536),
        ("base", 768, 12, 3072),
        ("large", 1024, 24, 4096),
    ],
)
def test_parameters_by_hand(repository, size, width, depth, hidden):
    linears = [(width, 3 * width), (width, width), (width, hidden), (hidden, width)]
    block = sum((inputs + 1) * outputs for inputs, outputs in linears)
    # two norms with weight and bias, two LayerScales
    block += 6 * width
    tokens = (1 + 1 + 14 * 14) * width
    expected = (3 * 16 * 16 + 1) * width + tokens + depth * block + 2 * width
    assert count(repository, size) == expected


def test_the_giant_is_gigapaths(repository):
    assert count(repository, "giant") == 1_134_953_984


def count(repository, size):
    path = repository / "registry_configs/_base_/tile_encoder" / f"vit_{size}.py"
    config = load_config(path).values["model"]["encoder"]
    with torch.device("meta"):
        encoder = BACKBONES.build(config)
    assert [block.attn.heads for block in encoder.blocks] == [encoder.width // 64] * len(
        encoder.blocks
    )
    return sum(p.numel() for p in encoder.parameters())
