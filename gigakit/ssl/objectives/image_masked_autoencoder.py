"""Masked autoencoding of tiles: pretraining of a tile encoder by the pixels it cannot see.

Shapes: B images, n images of all views, P patches of p x p px, V visible ones, D width.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from gigakit.core.errors import ConfigError
from gigakit.core.seeding import random_generator
from gigakit.nn.backbones.vit import VisionTransformer
from gigakit.nn.blocks import initialise
from gigakit.nn.patches import keep_least, patch_positions, patchify
from gigakit.registry import BACKBONES, HEADS, LOSSES, OBJECTIVES
from gigakit.ssl.losses.masked_embedding import MaskedEmbeddingLoss
from gigakit.ssl.objectives.embedded_images import (
    Feature,
    Mode,
    built_preprocessor,
    check_feature,
    embedded,
    one_dict_an_image,
)

# a word that keeps this use of an image's seed apart from the others
_NOISE = 201


@OBJECTIVES.register_module()
class ImageMaskedAutoencoder(BaseModel):
    """Take most patches of a tile away, encode the rest, predict the pixels of what is missing.

    The encoder sees the visible patches and cls alone. Which patches these are follows from the
    image's ``seed``, so it depends neither on the batch nor on the process.

    Args:
        encoder: config from BACKBONES of a VisionTransformer without registers or mask token.
        decoder: config from HEADS, such as ``PatchDecoder``; its sizes at the image come from here.
        loss: config from LOSSES; by default MAE's pixels, each patch normalised.
        mask_ratio: part of the patches that is taken away; 0.75 in MAE.
        fixed_positions: the encoder's positions are sine-cosine ones that are not trained, as in
            MAE; ``False`` leaves the learned ones.
        feature: what ``predict`` gives of an image, ``cls`` or the ``mean`` of its patches.
        data_preprocessor: config from OBJECTIVES, which makes normalised floats of the batch.

    Raises:
        ConfigError: mask_ratio outside [0, 1), an unknown feature, an encoder with tokens that
            nothing here would train, or one with a convolutional stem.

    Source: MAE (He et al. 2022), sections 3 and 4.
    Differs: noise is NumPy's, from the image's seed.
    """

    def __init__(
        self,
        *,
        encoder: dict[str, Any],
        decoder: dict[str, Any] | None = None,
        loss: dict[str, Any] | None = None,
        mask_ratio: float = 0.75,
        fixed_positions: bool = True,
        feature: Feature = "cls",
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(built_preprocessor(data_preprocessor))
        if not 0.0 <= mask_ratio < 1.0:
            raise ConfigError(
                f"got {mask_ratio}", where="model.mask_ratio", fix="give 0 <= mask_ratio < 1"
            )
        check_feature(feature)
        self.mask_ratio, self.feature = mask_ratio, feature
        self.encoder: VisionTransformer = BACKBONES.build(encoder)
        _check_encoder(self.encoder)
        projection = self.encoder.patch_embed.proj
        side = self.encoder.image_size // self.encoder.patch_size
        self.encoder.apply(initialise)
        nn.init.xavier_uniform_(projection.weight.view(len(projection.weight), -1))
        nn.init.normal_(self.encoder.cls_token, std=0.02)
        if fixed_positions:
            table = patch_positions(self.encoder.width, side, side)
            self.encoder.pos_embed.requires_grad_(requires_grad=False).copy_(table)
        self.decoder: nn.Module = HEADS.build(
            {
                "input_dim": self.encoder.width,
                "output_dim": 3 * self.encoder.patch_size**2,
                "patches_per_side": side,
                **(decoder or {"type": "PatchDecoder"}),
            }
        )
        self.loss: MaskedEmbeddingLoss = LOSSES.build(
            loss or {"type": "MaskedEmbeddingLoss", "target": "normalized"}
        )

    def forward(  # type: ignore[override]  # mmengine passes a dict batch by keyword
        self,
        global_crops: Tensor | None = None,
        seed: Tensor | None = None,
        noise: Tensor | None = None,
        images: Tensor | None = None,
        mode: Mode = "tensor",
        **entries: Any,
    ) -> Tensor | dict[str, Tensor] | list[dict[str, Any]]:
        """Predict pixels of patches that were taken away, or embed whole images.

        Args:
            global_crops: ``(views, B, 3, S, S)`` normalised.
            seed: ``(B,)`` int64, each image's noise where ``noise`` is not given.
            noise: ``(n, P)``; the patches of least noise stay, row ``view * B + image``.
            images: ``(B, 3, S, S)`` normalised, for ``predict``.
            mode: ``loss`` returns ``{"loss": ()}``, ``tensor`` the predictions ``(n, P, 3 p^2)``,
                ``predict`` one dict an image with ``features`` ``(D,)`` and the batch's entries.
            entries: what else a batch has, such as labels.

        Raises:
            ConfigError: neither ``seed`` nor ``noise``, no images, or crops of another size.
        """
        if mode == "predict":
            features = self.embed(_given(images, "images"))
            if seed is not None:
                entries["seed"] = seed
            return one_dict_an_image(features, entries)
        rows = _given(global_crops, "global_crops").flatten(0, 1)
        if rows.shape[-2:] != (self.encoder.image_size,) * 2:
            raise ConfigError(
                f"got crops of {tuple(rows.shape[-2:])} px",
                where="ImageMaskedAutoencoder",
                fix=f"crop to the encoder's image_size, {self.encoder.image_size}",
            )
        if noise is None:
            noise = self._noise(len(rows), seed).to(rows.device)
        kept, mask, restore = keep_least(noise, self.mask_ratio)
        predictions: Tensor = self.decoder(self.encode(rows, kept), restore)
        if mode == "tensor":
            return predictions
        return {"loss": self.loss(predictions, patchify(rows, self.encoder.patch_size), mask)}

    def encode(self, images: Tensor, kept: Tensor) -> Tensor:
        """Return ``(n, 1 + V, D)``, cls and the tokens of the kept patches, after the last norm.

        Args:
            images: ``(n, 3, S, S)`` normalised.
            kept: ``(n, V)`` places of patches.
        """
        encoder = self.encoder
        patches = encoder.patch_embed(images) + encoder.pos_embed[:, 1:]
        visible = torch.take_along_dim(patches, kept.unsqueeze(-1), dim=1)
        cls = encoder.cls_token + encoder.pos_embed[:, :1]
        x = torch.cat([cls.expand(len(visible), -1, -1).to(visible.dtype), visible], dim=1)
        for block in encoder.blocks:
            x = block(x)
        tokens: Tensor = encoder.norm(x)
        return tokens

    def embed(self, images: Tensor) -> Tensor:
        """Return features ``(n, D)`` of whole images ``(n, 3, S, S)``, normalised."""
        return embedded(self.encoder, images, self.feature)

    def health(self, global_crops: Tensor, **_others: Any) -> dict[str, Tensor]:
        """Return the features of all crops ``(n, D)``, nothing of them taken away."""
        return {"features": self.embed(global_crops.flatten(0, 1))}

    def _noise(self, rows: int, seed: Tensor | None) -> Tensor:
        """Return ``(n, P)``: each view's noise follows from its image's seed."""
        if seed is None:
            raise ConfigError("a batch needs seed or noise", where="ImageMaskedAutoencoder")
        patches = self.encoder.pos_embed.shape[1] - 1
        views = rows // len(seed)
        generators = [random_generator(value, _NOISE) for value in seed.tolist()]
        # not every device has float64
        noise = [generator.random((views, patches), np.float32) for generator in generators]
        return torch.stack([torch.from_numpy(image) for image in noise], dim=1).flatten(0, 1)


def _check_encoder(encoder: VisionTransformer) -> None:
    if encoder.registers or encoder.mask_token is not None:
        raise ConfigError(
            "the encoder has tokens that nothing here trains",
            where="model.encoder",
            fix="set registers=0 and maskable=False",
        )
    if encoder.stem != "linear":
        raise ConfigError(
            "a convolutional stem shows visible patches what lies in hidden ones",
            where="model.encoder.stem",
            fix="take the linear one",
        )


def _given(images: Tensor | None, name: str) -> Tensor:
    if images is None:
        raise ConfigError(f"a batch needs {name}", where="ImageMaskedAutoencoder")
    return images
