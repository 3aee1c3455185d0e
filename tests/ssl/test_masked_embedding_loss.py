"""The masked-embedding loss against its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gigakit.core.errors import ConfigError
from gigakit.registry import LOSSES


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    predictions = torch.randn(2, 6, 8, generator=generator, dtype=torch.float64)
    features = torch.randn(2, 6, 8, generator=generator, dtype=torch.float64) * 3 + 1
    mask = torch.tensor([[1, 0, 1, 0, 0, 0], [0, 1, 1, 1, 0, 0]], dtype=torch.bool)
    return predictions, features, mask


def naive(target, *batch):
    return np.mean([naive_of_slide(target, *slide) for slide in zip(*batch, strict=True)])


def naive_of_slide(target, predictions, features, mask):
    losses = []
    for p, x in zip(predictions[mask].numpy(), features[mask].numpy(), strict=True):
        if target == "cosine":
            losses.append(1 - p @ x / np.linalg.norm(p) / np.linalg.norm(x))
            continue
        if target == "normalized":
            x = (x - x.mean()) / np.sqrt(x.var(ddof=1) + 1e-6)
        losses.append(((p - x) ** 2).mean())
    return np.mean(losses)


@pytest.mark.parametrize("target", ["raw", "normalized", "cosine"])
def test_loss_is_its_formula(target, batch):
    loss = LOSSES.build({"type": "MaskedEmbeddingLoss", "target": target})
    assert loss(*batch).item() == pytest.approx(naive(target, *batch), rel=1e-5)


@pytest.mark.parametrize("target", ["raw", "normalized", "cosine"])
def test_packed_slides_count_alike_whatever_their_length(target, batch):
    loss = LOSSES.build({"type": "MaskedEmbeddingLoss", "target": target})
    parts = [[x[slide, :length] for x in batch] for slide, length in ((0, 6), (1, 4))]
    packed = [torch.cat(column)[None] for column in zip(*parts, strict=True)]
    expected = np.mean([naive_of_slide(target, *part) for part in parts])
    assert loss(*packed, lengths=[6, 4]).item() == pytest.approx(expected, rel=1e-5)


def test_visible_tokens_do_not_matter(batch):
    predictions, features, mask = batch
    loss = LOSSES.build({"type": "MaskedEmbeddingLoss"})
    changed = torch.where(mask[..., None], predictions, torch.tensor(9.0, dtype=torch.float64))
    assert loss(changed, features, mask) == loss(predictions, features, mask)


def test_no_masked_token_gives_zero(batch):
    predictions, features, mask = batch
    assert LOSSES.build({"type": "MaskedEmbeddingLoss"})(predictions, features, mask & False) == 0


def test_normalized_predictions_return_to_the_embeddings_units(batch):
    _, features, mask = batch
    loss = LOSSES.build({"type": "MaskedEmbeddingLoss", "target": "normalized"})
    same = features[:, :1].expand(-1, 6, -1)
    perfect = (same - same.mean(-1, keepdim=True)) / same.std(-1, keepdim=True)
    assert torch.allclose(loss.to_raw(perfect, same, ~mask), same, atol=1e-5)


def test_cosine_predictions_get_the_visible_tokens_length(batch):
    predictions, features, mask = batch
    loss = LOSSES.build({"type": "MaskedEmbeddingLoss", "target": "cosine"})
    raw = loss.to_raw(predictions, features, ~mask)
    expected = features[0][~mask[0]].norm(dim=-1).mean()
    assert torch.allclose(raw[0].norm(dim=-1), expected.expand(6))


def test_an_unknown_target_is_refused():
    with pytest.raises(ConfigError, match="unknown target 'pixels'"):
        LOSSES.build({"type": "MaskedEmbeddingLoss", "target": "pixels"})
