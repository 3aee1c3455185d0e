"""The convolutional stem: shapes, what a patch depends on, and the encoder around it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gigakit.core.errors import CheckpointError, ConfigError
from gigakit.nn.convolutional_stem import ConvolutionalStem
from gigakit.nn.encoder_start import start_encoder
from gigakit.registry import BACKBONES, OBJECTIVES

SMALL = {"type": "VisionTransformer", "image_size": 32, "width": 24, "depth": 1, "heads": 2}


@pytest.mark.parametrize("patch_size", [4, 8, 16])
def test_there_is_a_token_for_each_patch(patch_size):
    stem = ConvolutionalStem(patch_size, 24)
    assert stem(torch.randn(2, 3, 32, 48)).shape == (2, 32 * 48 // patch_size**2, 24)
    widths = [layer.out_channels for layer in stem.layers if hasattr(layer, "out_channels")]
    assert widths == [16, *(max(24 // 2**left, 16) for left in range(len(widths) - 2, 0, -1)), 24]


def test_a_patch_sees_itself_and_less_than_one_patch_around():
    stem = ConvolutionalStem(8, 16).double()
    image = torch.randn(1, 3, 40, 40, dtype=torch.float64, requires_grad=True)
    stem(image)[0, 12].sum().backward()
    seen = image.grad[0].abs().sum(dim=0) > 0
    rows, columns = seen.any(dim=1).nonzero().flatten(), seen.any(dim=0).nonzero().flatten()
    assert seen[16:24, 16:24].all()
    assert (rows.min(), rows.max()) == (columns.min(), columns.max())
    assert 16 - 8 <= rows.min() < 16
    assert rows.max() < 24 + 8


def test_signals_keep_their_size_through_it():
    torch.manual_seed(0)
    found = ConvolutionalStem(16, 192)(torch.randn(4, 3, 64, 64))
    assert 0.05 < found.std() < 5


def test_an_image_does_not_depend_on_its_batch():
    encoder = BACKBONES.build({**SMALL, "stem": "convolutional"}).double()
    images = torch.randn(3, 3, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(encoder(images)[:1], encoder(images[:1]))


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match="patch_size 14"):
        ConvolutionalStem(14, 16)
    with pytest.raises(ConfigError, match="unknown stem 'conv'"):
        BACKBONES.build({**SMALL, "stem": "conv"})
    linear = BACKBONES.build(SMALL)
    own = BACKBONES.build({**SMALL, "stem": "convolutional"})
    with pytest.raises(CheckpointError, match=r"patches of 16 px.*encoder .*convolutional"):
        start_encoder(own.state_dict(), linear.state_dict(), where=Path("x.safetensors"))
    with pytest.raises(ConfigError, match="shows visible patches what lies in hidden ones"):
        OBJECTIVES.build(
            {"type": "ImageMaskedAutoencoder", "encoder": {**SMALL, "stem": "convolutional"}}
        )
