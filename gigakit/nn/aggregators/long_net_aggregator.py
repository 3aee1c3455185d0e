"""The slide encoder as an aggregator: frozen, tuned, or from random weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from gigakit.core.errors import ConfigError
from gigakit.nn.aggregators.aggregated import Aggregated
from gigakit.nn.backbones.longnet import LayerEmbeddings
from gigakit.registry import AGGREGATORS, BACKBONES


class LayeredEncoder(Protocol):
    """What the aggregator needs of a slide encoder."""

    width: int

    def all_layers(
        self, features: Tensor, grid: Tensor, *, padding_mask: Tensor | None = None
    ) -> LayerEmbeddings:
        """Return the embeddings of every layer."""
        ...


@AGGREGATORS.register_module()
class LongNetAggregator(nn.Module):
    """Embed slides by the slide encoder; several layers' embeddings lie side by side.

    Weights come by ``--init-from``: of a run, of an export, or the published file as it is.

    Args:
        input_dim: width of the tile embeddings; 1536 of GigaPath's tile encoder.
        encoder: config from BACKBONES of a slide encoder; ``None`` takes the published
            architecture.
        pooling: the cls token, or the mean over tiles. Weights pretrained by
            :class:`MaskedAutoencoder` and the published ones had no objective on cls, so frozen
            ones want ``mean``.
        layers: whose embeddings to take: 0 is the sequence as embedded, i the output of block i,
            through the last norm. The released ``feat_layer`` "5-11" is ``[5, 11]``, its default
            "11" is ``[11]``, the last but one of 12. ``None`` takes the encoder's own output, the
            last block through both norms.
        frozen: leave the encoder as it is: no gradient, no dropout. With a linear head that is a
            linear probe.

    Raises:
        ConfigError: an unknown pooling, or layers that the encoder has not.

    Source: Prov-GigaPath's released fine-tuning, ``ClassificationHead``.
    """

    def __init__(
        self,
        *,
        input_dim: int,
        encoder: dict[str, Any] | None = None,
        pooling: Literal["cls", "mean"] = "cls",
        layers: Sequence[int] | None = (11,),
        frozen: bool = False,
    ) -> None:
        super().__init__()
        if pooling not in ("cls", "mean"):
            raise ConfigError(
                f"got '{pooling}'", where="LongNetAggregator.pooling", fix="give cls or mean"
            )
        config = {"type": "LongNet", **(encoder or {})}
        built: Any = BACKBONES.build({"input_dim": input_dim, **config})
        depth = len(built.encoder.layers)
        if layers is not None and not (layers and all(0 <= i <= depth for i in layers)):
            raise ConfigError(
                f"got {list(layers)}",
                where="LongNetAggregator.layers",
                fix=f"give numbers from 0 to {depth}, or null",
            )
        self.encoder: LayeredEncoder = built
        self.pooling, self.frozen = pooling, frozen
        self.layers = None if layers is None else list(layers)
        # blocks after the last layer chosen, and the norm after all blocks
        self.leaves_parameters_unused = self.layers is not None and not frozen
        self.width = built.width * (1 if self.layers is None else len(self.layers))
        if frozen:
            built.requires_grad_(requires_grad=False)
            built.eval()

    def train(self, mode: bool = True) -> LongNetAggregator:
        """Switch dropout; that of a frozen encoder stays off."""
        super().train(mode)
        if self.frozen and isinstance(self.encoder, nn.Module):
            self.encoder.eval()
        return self

    def forward(
        self, features: Tensor, *, grid: Tensor, padding_mask: Tensor | None = None
    ) -> Aggregated:
        """Aggregate ``(B, L, D_in)`` to ``(B, layers × D)``."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            found = self.encoder.all_layers(features, grid, padding_mask=padding_mask)
        if self.layers is None:
            return Aggregated(found.last_cls if self.pooling == "cls" else found.last_mean)
        pooled = found.cls if self.pooling == "cls" else found.mean
        return Aggregated(torch.cat([pooled[layer] for layer in self.layers], dim=-1))
