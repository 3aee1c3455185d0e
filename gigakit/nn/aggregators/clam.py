"""Clustering-constrained attention multiple-instance learning (CLAM).

Shapes: B slides, L tiles, C classes, H width of an embedded tile.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gigakit.core.errors import ConfigError
from gigakit.nn.aggregators.aggregated import Aggregated, attend_to, tile_counts
from gigakit.nn.aggregators.tile_attention import TileScores, tile_network
from gigakit.registry import AGGREGATORS

_OUT, _IN = 0, 1


@AGGREGATORS.register_module()
class Clam(nn.Module):
    """Gated attention, and a loss that makes the most and least attended tiles separable.

    The slide's class says of its k most attended tiles that they are evidence for it, of its k
    least attended ones that they are not; with ``exclusive`` classes the most attended tiles are no
    evidence for any other class. Each class has its own classifier of tiles, trained by that::

        loss = (1 - instance_weight) × loss of the slide + instance_weight × loss of its tiles

    Args:
        input_dim: width of the tile embeddings.
        classes: C; handed in by the model.
        branches: ``single``: one attention for all classes; ``multi``: each class has its own, and
            its own embedding of the slide.
        width: H; 512 in the paper.
        attention_width: 256 in the paper's small model, 384 in its big one.
        dropout: of tiles and hidden units; 0.25 in the released recipes.
        samples: k; 8 in the paper.
        exclusive: see above; ``subtyping`` in the released code.
        tile_loss: ``svm``: the smooth top-1 SVM loss with margin and temperature 1, as in the
            paper; or ``cross_entropy``.
        instance_weight: 0.3 in the paper; 0 leaves the loss of tiles out.

    Raises:
        ConfigError: unknown branches or tile_loss, or a weight outside [0, 1).

    Source: Lu et al. 2021, Methods; its released code for the sizes.
    Differs: a slide of fewer than 2 k tiles takes half of them on each side, where the released
        code fails or counts a tile on both sides.
    """

    def __init__(
        self,
        *,
        input_dim: int,
        classes: int,
        branches: Literal["single", "multi"] = "single",
        width: int = 512,
        attention_width: int = 256,
        dropout: float = 0.25,
        samples: int = 8,
        exclusive: bool = True,
        tile_loss: Literal["svm", "cross_entropy"] = "svm",
        instance_weight: float = 0.3,
    ) -> None:
        super().__init__()
        for name, value, allowed in (
            ("branches", branches, ("single", "multi")),
            ("tile_loss", tile_loss, ("svm", "cross_entropy")),
        ):
            if value not in allowed:
                raise ConfigError(
                    f"got '{value}'", where=f"Clam.{name}", fix=f"give {' or '.join(allowed)}"
                )
        if not 0.0 <= instance_weight < 1.0:
            raise ConfigError(
                f"got {instance_weight}", where="Clam.instance_weight", fix="give 0 to below 1"
            )
        self.width, self.classes, self.samples = width, classes, samples
        self.multi, self.exclusive = branches == "multi", exclusive
        self.margin = 1.0 if tile_loss == "svm" else 0.0
        self.instance_weight = instance_weight
        self.tiles = tile_network(input_dim, [width], dropout)
        outputs = classes if self.multi else 1
        self.scores = TileScores(
            width, attention_width, outputs=outputs, gated=True, dropout=dropout
        )
        # for each class: no evidence, evidence
        self.tile_classifiers = nn.Linear(width, 2 * classes) if instance_weight else None

    def forward(
        self,
        features: Tensor,
        *,
        grid: Tensor,  # noqa: ARG002
        padding_mask: Tensor | None = None,
    ) -> Aggregated:
        """Aggregate ``(B, L, D_in)``: with several branches ``(B, C, H)``, an embedding a class."""
        tiles = self.tiles(features)
        attention = attend_to(self.scores(tiles), padding_mask)
        embedding = attention @ tiles
        if not self.multi:
            return Aggregated(embedding[:, 0], attention[:, 0], instances=tiles)
        return Aggregated(embedding, attention.mean(dim=1), attention, tiles)

    def instance_loss(
        self, found: Aggregated, label: Tensor, padding_mask: Tensor | None = None
    ) -> Tensor:
        """Return the mean loss of the slides' tiles; see the class.

        Args:
            found: what :meth:`forward` returned.
            label: ``(B,)`` int64.
            padding_mask: ``(B, L)`` bool, True = padding.
        """
        if found.instances is None or found.attention is None or self.tile_classifiers is None:
            return found.embedding.new_zeros(())
        attention = found.class_attention
        if attention is None:
            attention = found.attention[:, None].expand(-1, self.classes, -1)
        logits = self.tile_classifiers(found.instances).unflatten(-1, (self.classes, 2))
        counts = tile_counts(found.instances, padding_mask)
        slides = [
            self._slide_loss(attention[row, :, :count], logits[row, :count], int(label[row]))
            for row, count in enumerate(counts)
        ]
        return torch.stack(slides).mean()

    def _slide_loss(self, attention: Tensor, logits: Tensor, label: int) -> Tensor:
        """Return the loss of one slide: attention ``(C, L)``, logits ``(L, C, 2)``."""
        samples = min(self.samples, attention.shape[1] // 2)
        total = logits.sum() * 0.0
        if samples == 0:
            return total
        for kind in range(self.classes) if self.exclusive else [label]:
            order = attention[kind].argsort(descending=True, stable=True)
            own = logits[:, kind]
            if kind == label:
                chosen = torch.cat([own[order[:samples]], own[order[-samples:]]])
                targets = [_IN] * samples + [_OUT] * samples
            else:
                chosen, targets = own[order[:samples]], [_OUT] * samples
            total = total + self._tile_loss(chosen, torch.tensor(targets, device=logits.device))
        return total / self.classes if self.exclusive else total

    def _tile_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        # the smooth SVM is a cross-entropy whose wrong class is ahead by the margin
        ahead = self.margin * (1.0 - functional.one_hot(targets, 2).to(logits.dtype))
        return functional.cross_entropy(logits + ahead, targets)
