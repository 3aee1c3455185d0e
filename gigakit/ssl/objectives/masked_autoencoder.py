"""Masked autoencoding of a slide's tile embeddings: the slide encoder's pretraining.

Shapes: B slides, L tiles of the longest slide, V visible tiles of the fullest one, D width. Packed
slides follow one another in one sequence: B is 1 and L the tiles of all.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from gigakit.core.errors import ConfigError
from gigakit.core.seeding import random_generator
from gigakit.core.token_masks import random_token_mask
from gigakit.nn.attention.sequence_parallel import TokenSplit, split_tokens
from gigakit.nn.packing import with_cls, without_first
from gigakit.registry import BACKBONES, HEADS, LOSSES, OBJECTIVES
from gigakit.ssl.losses.masked_embedding import MaskedEmbeddingLoss

Mode = Literal["tensor", "loss", "predict"]


class SlideEncoder(Protocol):
    """What the objective needs of a slide encoder."""

    width: int

    def tokens(
        self,
        features: Tensor,
        grid: Tensor,
        *,
        padding_mask: Tensor | None = None,
        lengths: list[int] | None = None,
    ) -> Tensor:
        """Return all tokens ``(B, 1 + L, D)``, each slide's cls first."""
        ...


@OBJECTIVES.register_module()
class MaskedAutoencoder(BaseModel):
    """Hide most tiles of a slide, encode the rest, predict the embeddings of the hidden ones.

    The encoder sees the visible tiles and its cls token only, so masked tiles shorten the sequence
    before attention cuts it into segments. The decoder sees all positions, with a learned token in
    place of what is hidden. The mask of a view follows from the ``seed`` of its batch entry, so it
    depends neither on the batch it is in nor on the rank that computes it.

    Inside :func:`~gigakit.nn.attention.sequence_parallel.sequence_parallel` each process gives its
    own part of the slides. The mean of the processes' losses, and of their gradients, is that of
    whole slides.

    Args:
        encoder: config from BACKBONES of the slide encoder; its ``input_dim`` comes from here.
        decoder: config from HEADS; its input and output widths come from here.
        loss: config from LOSSES.
        mask_ratio: fraction of tiles to hide; MAE's 0.75, the paper does not state its own.
        input_dim: width of the tile embeddings; ``None`` in a recipe takes it from the data.
        data_preprocessor: mmengine's, which moves batches to the device.

    Raises:
        ConfigError: mask_ratio outside [0, 1), or input_dim still unknown.

    Source: Prov-GigaPath, Methods, slide-level pretraining; MAE (He et al. 2022) section 3.
    """

    def __init__(
        self,
        *,
        encoder: dict[str, Any],
        decoder: dict[str, Any],
        loss: dict[str, Any] | None = None,
        mask_ratio: float = 0.75,
        input_dim: int | None = None,
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        if not 0.0 <= mask_ratio < 1.0:
            raise ConfigError(
                f"got {mask_ratio}", where="model.mask_ratio", fix="give 0 <= mask_ratio < 1"
            )
        if input_dim is None:
            raise ConfigError(
                "the width of the tile embeddings is unknown", where="model.input_dim", fix="set it"
            )
        self.mask_ratio = mask_ratio
        self.encoder: SlideEncoder = BACKBONES.build({"input_dim": input_dim, **encoder})
        self.decoder: nn.Module = HEADS.build(
            {"input_dim": self.encoder.width, "output_dim": input_dim, **decoder}
        )
        self.loss: MaskedEmbeddingLoss = LOSSES.build(loss or {"type": "MaskedEmbeddingLoss"})

    def forward(  # type: ignore[override]  # mmengine passes a dict batch by keyword
        self,
        features: Tensor,
        grid: Tensor,
        padding_mask: Tensor | None = None,
        seed: Tensor | None = None,
        token_mask: Tensor | None = None,
        slide_id: list[str] | None = None,
        lengths: list[int] | None = None,
        mode: Mode = "tensor",
    ) -> Tensor | dict[str, Tensor] | list[dict[str, Any]]:
        """Predict the embeddings of hidden tiles.

        Args:
            features: ``(B, L, D)`` tile embeddings.
            grid: ``(B, L, 2)`` positions in tiles.
            padding_mask: ``(B, L)`` bool, True = padding, on the right; ``None`` for none.
            seed: ``(slides,)`` int64, each slide's mask where ``token_mask`` is not given.
            token_mask: ``(B, L)`` bool, True = masked out.
            slide_id: names of the slides, carried to the predictions.
            lengths: tiles of each slide of a packed batch, whose tensors have B = 1.
            mode: ``loss`` returns ``{"loss": ()}``; ``predict`` one dict a slide with ``slide_id``,
                ``features``, ``grid``, ``token_mask`` and ``prediction`` in the units of the
                embeddings, padding removed; ``tensor`` the raw predictions ``(B, L, D)``.

        Raises:
            ConfigError: neither ``seed`` nor ``token_mask`` is given; packed slides, or predictions
                of a target other than raw, inside of ``sequence_parallel``.
        """
        split = split_tokens(features, padding_mask, cls_tokens=0)
        if split is not None and lengths is not None:
            raise ConfigError(
                "packed slides cannot lie on several processes",
                where="collate_fn",
                fix="take pad_slides, or leave sequence_parallel out",
            )
        if token_mask is None:
            rows = lengths or _row_lengths(features, padding_mask)
            drawn = self._draw_masks(rows, seed, split)
            together = torch.cat(drawn)[None] if lengths else pad_sequence(drawn, batch_first=True)
            token_mask = together.to(features.device)
        predictions = self._predict(features, grid, padding_mask, token_mask, lengths)
        if mode == "loss":
            return {"loss": self._loss(predictions, features, token_mask, lengths, split)}
        if mode == "tensor":
            return predictions
        if split is not None and self.loss.target != "raw":
            raise ConfigError(
                "predictions in the units of the embeddings need whole slides",
                where="MaskedAutoencoder",
                fix="take mode='tensor', or the target 'raw'",
            )
        columns = {
            "features": features,
            "grid": grid,
            "token_mask": token_mask,
            "prediction": predictions,
        }
        slides = _unbatched(columns, lengths, padding_mask)
        for slide, name in zip(slides, slide_id or [""] * len(slides), strict=True):
            slide["prediction"] = self.loss.to_raw(
                slide["prediction"][None], slide["features"][None], ~slide["token_mask"][None]
            )[0]
            slide["slide_id"] = name
        return slides

    def health(
        self,
        features: Tensor,
        grid: Tensor,
        padding_mask: Tensor | None = None,
        lengths: list[int] | None = None,
        **_others: Any,
    ) -> dict[str, Tensor]:
        """Return the encoder's tokens of all tiles, ``(tiles, D)``, none of them hidden.

        Tokens and not slides: views of one slide may well be alike.
        """
        tokens = self.encoder.tokens(features, grid, padding_mask=padding_mask, lengths=lengths)
        tiles = without_first(tokens, with_cls(lengths) if lengths else None)
        return {"features": tiles.flatten(0, 1) if padding_mask is None else tiles[~padding_mask]}

    def _loss(
        self,
        predictions: Tensor,
        features: Tensor,
        token_mask: Tensor,
        lengths: list[int] | None,
        split: TokenSplit | None,
    ) -> Tensor:
        masked = None if split is None else split.total(token_mask.sum(dim=1))
        loss: Tensor = self.loss(predictions, features, token_mask, lengths, masked)
        return loss if split is None else loss * split.processes

    def _draw_masks(
        self, lengths: list[int], seed: Tensor | None, split: TokenSplit | None
    ) -> list[Tensor]:
        """Return each slide's mask, of which processes that share the slide take their part."""
        if seed is None:
            raise ConfigError("a batch needs seed or token_mask", where="MaskedAutoencoder")
        masks = []
        for row, (length, value) in enumerate(zip(lengths, seed.tolist(), strict=True)):
            parts, rank = ((length,), 0) if split is None else (split.lengths[row], split.rank)
            drawn = random_token_mask(sum(parts), self.mask_ratio, random_generator(value))
            first = sum(parts[:rank])
            masks.append(torch.from_numpy(drawn[first : first + length]))
        return masks

    def _predict(
        self,
        features: Tensor,
        grid: Tensor,
        padding_mask: Tensor | None,
        token_mask: Tensor,
        lengths: list[int] | None,
    ) -> Tensor:
        if lengths is not None:
            visible = ~token_mask
            tokens = self.encoder.tokens(
                features[visible][None],
                grid[visible][None],
                lengths=[int(slide.sum()) for slide in visible.split_with_sizes(lengths, dim=1)],
            )
        else:
            visible = ~token_mask if padding_mask is None else ~(token_mask | padding_mask)
            order_BV, padding_BV = _visible_first(visible)
            visible_BVD = torch.take_along_dim(features, order_BV.unsqueeze(-1), dim=1)
            tokens = self.encoder.tokens(
                # the slots beyond a slide's visible tiles index hidden ones: they must not leak
                visible_BVD.masked_fill(padding_BV.unsqueeze(-1), 0.0),
                torch.take_along_dim(grid, order_BV.unsqueeze(-1), dim=1),
                padding_mask=padding_BV,
            )
        predictions: Tensor = self.decoder(tokens, grid, token_mask, padding_mask, lengths)
        return predictions


def _row_lengths(features: Tensor, padding_mask: Tensor | None) -> list[int]:
    if padding_mask is None:
        return [features.shape[1]] * len(features)
    lengths: list[int] = (~padding_mask).sum(dim=1).tolist()
    return lengths


def _unbatched(
    columns: dict[str, Tensor], lengths: list[int] | None, padding_mask: Tensor | None
) -> list[dict[str, Any]]:
    """Return each slide's own rows of batched tensors, padding removed."""
    if lengths is not None:
        parts = {name: x.split_with_sizes(lengths, dim=1) for name, x in columns.items()}
        return [{name: x[slide][0] for name, x in parts.items()} for slide in range(len(lengths))]
    rows = _row_lengths(columns["features"], padding_mask)
    return [
        {name: x[row, :length] for name, x in columns.items()} for row, length in enumerate(rows)
    ]


def _visible_first(visible: Tensor) -> tuple[Tensor, Tensor]:
    """Return the indices ``(B, V)`` of visible tokens in order, and which of them are padding."""
    count = visible.sum(dim=1)
    longest = int(count.max())
    # a stable sort keeps the visible tokens in reading order
    order = torch.argsort(visible.logical_not().to(torch.uint8), dim=1, stable=True)[:, :longest]
    padding = torch.arange(longest, device=visible.device)[None, :] >= count[:, None]
    return order, padding
