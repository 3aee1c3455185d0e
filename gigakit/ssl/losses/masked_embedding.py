"""The loss of a masked autoencoder whose tokens are embeddings."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from gigakit.core.errors import ConfigError
from gigakit.registry import LOSSES

Target = Literal["raw", "normalized", "cosine"]


@LOSSES.register_module()
class MaskedEmbeddingLoss(nn.Module):
    """Compare predicted with true embeddings over the masked tokens alone.

    Formula, with ``M`` the masked tokens of a slide, ``x`` true and ``p`` predicted embeddings of
    width D; the loss is the mean over the slides, so it does not depend on how a batch is divided
    among processes::

        raw         mean over M of  |p - x|^2 / D
        normalized  the same with   x' = (x - mean(x)) / sqrt(var(x) + 1e-6), per token, unbiased
        cosine      mean over M of  1 - <p, x> / (|p| |x|)

    Args:
        target: what the prediction is compared with. MAE calls the second ``norm_pix_loss``.

    Raises:
        ConfigError: an unknown target.

    Source: MAE (He et al. 2022) section 3, "Reconstruction target"; the paper of Prov-GigaPath does
        not state its target.
    """

    def __init__(self, *, target: Target = "raw") -> None:
        super().__init__()
        if target not in ("raw", "normalized", "cosine"):
            raise ConfigError(
                f"unknown target '{target}'",
                where="MaskedEmbeddingLoss",
                fix="choose raw, normalized or cosine",
            )
        self.target = target

    def forward(
        self,
        predictions: Tensor,
        features: Tensor,
        token_mask: Tensor,
        lengths: list[int] | None = None,
        masked: Tensor | None = None,
    ) -> Tensor:
        """Return the mean over the slides of their masked tokens' mean; 0 where none is masked.

        Args:
            predictions: ``(B, L, D)``.
            features: ``(B, L, D)``.
            token_mask: ``(B, L)`` bool, True = masked out.
            lengths: tokens of each slide where slides are packed one after another, B = 1.
            masked: ``(B,)`` masked tokens of whole slides, where these are parts of them.
        """
        predicted, true = predictions[token_mask].float(), features[token_mask].float()
        if self.target == "cosine":
            per_token = 1.0 - torch.cosine_similarity(predicted, true, dim=-1)
        else:
            if self.target == "normalized":
                true = (true - true.mean(-1, keepdim=True)) / _deviation(true)
            per_token = (predicted - true).square().mean(dim=-1)
        slides = token_mask.split_with_sizes(lengths, dim=1) if lengths else [token_mask]
        numbers = [slide.sum(dim=1) for slide in slides] if masked is None else [masked]
        count = len(lengths or token_mask)
        weight = torch.cat(
            [
                slide / number.clamp(min=1).unsqueeze(1) / count
                for slide, number in zip(slides, numbers, strict=True)
            ],
            dim=1,
        )[token_mask]
        return (per_token * weight).sum()

    @torch.no_grad()
    def to_raw(self, predictions: Tensor, features: Tensor, visible: Tensor) -> Tensor:
        """Express predictions in the units of the embeddings, from what the encoder may see.

        A normalized prediction gets the average mean and deviation of its slide's visible tokens, a
        cosine prediction their average length: the target itself does not fix either.

        Args:
            predictions: ``(B, L, D)``.
            features: ``(B, L, D)``.
            visible: ``(B, L)`` bool, True = a token that the encoder saw.
        """
        if self.target == "raw":
            return predictions
        weight = (visible / visible.sum(dim=1, keepdim=True).clamp(min=1)).unsqueeze(-1)
        if self.target == "normalized":
            mean = (features.mean(-1, keepdim=True) * weight).sum(dim=1, keepdim=True)
            deviation = (_deviation(features) * weight).sum(dim=1, keepdim=True)
            return predictions * deviation + mean
        length = (features.norm(dim=-1, keepdim=True) * weight).sum(dim=1, keepdim=True)
        raw: Tensor = nn.functional.normalize(predictions, dim=-1) * length
        return raw


def _deviation(features: Tensor) -> Tensor:
    return (features.var(-1, keepdim=True) + 1e-6).sqrt()
