"""The decoder in which hidden tiles ask the visible tiles nearest to them."""

from __future__ import annotations

import math

import pytest
import torch

from gigakit.core.errors import ConfigError
from gigakit.nn.heads import light_decoder
from gigakit.nn.heads.light_decoder import LightDecoder

HEADS, WIDTH, NEIGHBOURS = 4, 16, 3


def make(**changes):
    torch.manual_seed(0)
    decoder = LightDecoder(
        input_dim=6, output_dim=5, width=WIDTH, heads=HEADS, neighbours=NEIGHBOURS, **changes
    )
    with torch.no_grad():
        # norms and biases that do something
        for parameter in decoder.parameters():
            if parameter.ndim == 1 and parameter.numel() > HEADS:
                parameter += 0.1 * torch.randn(parameter.shape)
    return decoder.double().eval()


def batch():
    generator = torch.Generator().manual_seed(1)
    mask = torch.tensor([[1, 0, 1, 1, 0, 1, 0, 0], [0, 1, 1, 1, 1, 0, 0, 0]], dtype=torch.bool)
    padding = torch.tensor([[0] * 8, [0] * 5 + [1] * 3], dtype=torch.bool)
    tokens = torch.randn(2, 5, 6, generator=generator, dtype=torch.float64)
    grid = torch.rand(2, 8, 2, generator=generator, dtype=torch.float64) * 9
    # the search of neighbours is in float32
    return tokens, grid.float().double(), mask & ~padding, padding


def naive(decoder, tokens, grid, mask):
    """Predict the hidden tiles of one slide, as the docstring's formula says."""
    encoded = decoder.embed(tokens)
    visible = (~mask).nonzero().flatten().tolist()
    given = decoder.mask_token[0] + encoded[0]
    key, value = (
        p(encoded).view(-1, HEADS, WIDTH // HEADS) for p in (decoder.k_proj, decoder.v_proj)
    )
    query = decoder.q_proj(given).view(HEADS, -1)
    predicted = []
    for tile in mask.nonzero().flatten().tolist():
        distances = sorted(
            (math.dist(grid[tile], grid[other]), place) for place, other in enumerate(visible)
        )
        asked = [(0.0, 0), *((d, place + 1) for d, place in distances[:NEIGHBOURS])]
        heads = []
        for head in range(HEADS):
            slope = decoder.log_slope[head].exp()
            scores = torch.stack(
                [query[head] @ key[j, head] / (WIDTH // HEADS) ** 0.5 - slope * d for d, j in asked]
            )
            weights = scores.softmax(0)
            heads.append(sum(w * value[j, head] for w, (_, j) in zip(weights, asked, strict=True)))
        x = given + decoder.out_proj(decoder.norm_attended(torch.cat(heads)))
        x = x + decoder.ffn(decoder.norm_ffn(x))
        predicted.append(decoder.predict(decoder.norm(x)))
    return torch.stack(predicted)


def test_it_is_its_formula_for_each_slide_of_a_batch():
    decoder, (tokens, grid, mask, padding) = make(), batch()
    out = decoder(tokens, grid, mask, padding)
    assert out.shape == (2, 8, 5)
    assert (out[0][mask[0]] - naive(decoder, tokens[0], grid[0], mask[0])).abs().max() < 1e-6
    # one visible tile: fewer neighbours than asked for
    second = naive(decoder, tokens[1, :2], grid[1, :5], mask[1, :5])
    assert (out[1][mask[1]] - second).abs().max() < 1e-6
    assert out[~mask].abs().max() == 0


def test_slides_may_be_packed():
    decoder, (tokens, grid, mask, padding) = make(), batch()
    padded = decoder(tokens, grid, mask, padding)
    packed = decoder(
        torch.cat([tokens[0], tokens[1, :2]])[None],
        torch.cat([grid[0], grid[1, :5]])[None],
        torch.cat([mask[0], mask[1, :5]])[None],
        lengths=[8, 5],
    )
    assert (packed[0, :8] - padded[0]).abs().max() < 1e-12
    assert (packed[0, 8:] - padded[1, :5]).abs().max() < 1e-12


def test_long_slides_are_computed_in_parts_with_the_same_gradients(monkeypatch):
    def gradients():
        decoder, (tokens, grid, mask, padding) = make(), batch()
        decoder(tokens, grid, mask, padding).square().sum().backward()
        assert all(p.grad is not None for p in decoder.parameters())
        return torch.cat([p.grad.flatten() for p in decoder.parameters()])

    whole = gradients()
    assert whole.isfinite().all()
    monkeypatch.setattr(light_decoder, "_CHUNK", 3)
    monkeypatch.setattr(light_decoder, "_DISTANCES", 5)
    assert (gradients() - whole).abs().max() < 1e-12


def test_moving_a_slide_changes_nothing():
    decoder, (tokens, grid, mask, padding) = make(), batch()
    here = decoder(tokens, (grid * 8).round() / 8, mask, padding)
    there = decoder(tokens, (grid * 8).round() / 8 + 700, mask, padding)
    assert (here - there).abs().max() < 1e-12


def test_nothing_hidden_gives_zeros():
    decoder, (tokens, grid, mask, _) = make(), batch()
    assert decoder(tokens.repeat(1, 2, 1)[:, :9], grid, mask & False).abs().max() == 0


@pytest.mark.parametrize("changes", [{"heads": 5}, {"neighbours": 0}])
def test_unusable_settings_are_refused(changes):
    with pytest.raises(ConfigError, match="LightDecoder"):
        LightDecoder(**{"input_dim": 6, "output_dim": 5, "width": 16, "heads": 4, **changes})
