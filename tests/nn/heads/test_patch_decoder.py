"""The decoder of image patches; its parity is tested with its objective."""

from __future__ import annotations

import pytest
import torch

from gigakit.core.errors import ConfigError
from gigakit.registry import HEADS

CONFIG = {
    "type": "PatchDecoder",
    "output_dim": 12,
    "patches_per_side": 3,
    "width": 16,
    "depth": 1,
    "heads": 4,
}


def build():
    torch.manual_seed(0)
    return HEADS.build(CONFIG, input_dim=8)


def test_gradients_reach_every_parameter():
    tokens = torch.randn(2, 5, 8, requires_grad=True)
    restore = torch.stack([torch.randperm(9) for _ in range(2)])
    decoder = build()
    predictions = decoder(tokens, restore)
    assert predictions.shape == (2, 9, 12)
    predictions.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in decoder.parameters())
    assert tokens.grad.abs().sum() > 0


def test_visible_tokens_go_back_to_their_places():
    decoder = build().eval()
    tokens = torch.randn(1, 10, 8, generator=torch.Generator().manual_seed(1))
    order = torch.randperm(9, generator=torch.Generator().manual_seed(2))
    shuffled = torch.cat([tokens[:, :1], tokens[:, 1:][:, order]], dim=1)
    plain = decoder(tokens, torch.arange(9)[None])
    torch.testing.assert_close(decoder(shuffled, order.argsort()[None]), plain)
    # the same token at another place is another patch
    assert (decoder(shuffled, torch.arange(9)[None]) - plain).abs().max() > 1e-3


def test_positions_are_not_stored():
    assert not any("positions" in name for name in build().state_dict())


def test_sizes_that_do_not_divide_are_refused():
    with pytest.raises(ConfigError, match="heads"):
        HEADS.build({**CONFIG, "heads": 3}, input_dim=8)
