"""Slides packed into one sequence: equal to a padded batch, and to each slide alone."""

from __future__ import annotations

import pytest
import torch

from gigakit.nn.blocks import DropPath
from gigakit.nn.packing import first_tokens, prepend, with_cls, without_first
from gigakit.registry import BACKBONES

LENGTHS = [7, 1, 12]


@pytest.mark.parametrize("own", [True, False])
def test_a_token_is_put_before_each_slide_and_taken_away(own):
    x = torch.arange(20.0)[None, :, None]
    token = torch.tensor([-1.0, -2.0, -3.0])[: 3 if own else 1].view(-1, 1, 1)
    packed = prepend(token, x, LENGTHS)
    both = with_cls(LENGTHS)
    starts = [0, 8, 10]
    assert packed[0, starts, 0].tolist() == token.expand(3, 1, 1).flatten().tolist()
    assert torch.equal(without_first(packed, both), x)
    assert torch.equal(first_tokens(packed, both), token.expand(3, 1, 1))


def test_without_lengths_rows_are_slides():
    x = torch.randn(2, 3, 4)
    out = prepend(torch.zeros(1, 1, 4), x)
    assert out.shape == (2, 4, 4)
    assert torch.equal(without_first(out), x)
    assert torch.equal(first_tokens(out), torch.zeros(2, 1, 4))


@pytest.mark.parametrize(
    "attention",
    [
        {"type": "DilatedAttention", "segment_lengths": [4, 16], "dilation_ratios": [1, 2]},
        {"type": "FullAttention"},
    ],
)
def test_a_packed_encoder_gives_what_each_slide_gives_alone(attention):
    torch.manual_seed(0)
    encoder = (
        BACKBONES.build(
            {
                "type": "LongNet",
                "input_dim": 5,
                "width": 16,
                "depth": 2,
                "heads": 4,
                "attention": attention,
            }
        )
        .double()
        .eval()
    )
    features = torch.randn(1, 20, 5, dtype=torch.float64)
    grid = torch.rand(1, 20, 2, dtype=torch.float64) * 9
    packed = encoder.tokens(features, grid, lengths=LENGTHS).split(with_cls(LENGTHS), dim=1)
    parts = zip(packed, features.split(LENGTHS, dim=1), grid.split(LENGTHS, dim=1), strict=True)
    for slide, x, place in parts:
        assert (slide - encoder.tokens(x, place)).abs().max() < 1e-12


def test_a_path_is_dropped_for_a_whole_slide():
    drop = DropPath(0.5).train()
    torch.manual_seed(0)
    seen = set()
    for _ in range(40):
        kept = drop(torch.ones(1, 20, 3), LENGTHS)
        slides = [slide.unique().tolist() for slide in kept.split(LENGTHS, dim=1)]
        assert all(values in ([0.0], [2.0]) for values in slides)
        seen.add(tuple(values[0] for values in slides))
    assert len(seen) == 8
