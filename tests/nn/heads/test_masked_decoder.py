"""The masked autoencoder's decoder."""

from __future__ import annotations

import torch

from gigakit.nn.heads.masked_decoder import MaskedDecoder


def make():
    torch.manual_seed(0)
    attention = {
        "type": "DilatedAttention", "segment_lengths": [8, 32], "dilation_ratios": [1, 2],
    }  # fmt: skip
    return MaskedDecoder(
        input_dim=6, output_dim=5, width=16, depth=2, heads=4, attention=attention
    ).eval()


def batch():
    generator = torch.Generator().manual_seed(1)
    mask = torch.tensor([[1, 0, 1, 1, 0, 1, 0], [0, 1, 1, 1, 1, 0, 0]], dtype=torch.bool)
    padding = torch.tensor([[0] * 7, [0] * 5 + [1] * 2], dtype=torch.bool)
    tokens = torch.randn(2, 4, 6, generator=generator)
    return tokens, torch.rand(2, 7, 2, generator=generator) * 9, mask & ~padding, padding


def test_shapes_and_a_slide_alone():
    decoder, (tokens, grid, mask, padding) = make(), batch()
    together = decoder(tokens, grid, mask, padding)
    assert together.shape == (2, 7, 5)
    alone = decoder(tokens[1:, :2], grid[1:, :5], mask[1:, :5], padding[1:, :5])
    assert (together[1:, :5] - alone).abs().max() < 1e-6


def test_each_visible_token_stands_in_its_own_place():
    decoder, (tokens, grid, mask, padding) = make(), batch()
    decoder.blocks = torch.nn.ModuleList()
    before = decoder(tokens, grid, mask, padding)
    tokens[0, 2] += 1.0  # the second visible tile of the first slide: place 4
    moved = (decoder(tokens, grid, mask, padding) - before).abs().sum(dim=-1) > 1e-6
    assert moved.nonzero().tolist() == [[0, 4]]


def test_hidden_tiles_differ_by_position_alone():
    decoder, (tokens, grid, mask, padding) = make(), batch()
    decoder.blocks = torch.nn.ModuleList()
    grid[0, 2] = grid[0, 0]
    out = decoder(tokens, grid, mask, padding)
    assert torch.equal(out[0, 0], out[0, 2])
    assert (out[0, 0] - out[0, 3]).abs().max() > 1e-4
