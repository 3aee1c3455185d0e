"""Contrastive learning of tiles: two views of a tile find each other among all others.

Shapes: B images, D width.
"""

from __future__ import annotations

from typing import Any

from mmengine.model import BaseModel
from torch import Tensor, nn

from gigakit.core.errors import ConfigError
from gigakit.nn.backbones.vit import VisionTransformer
from gigakit.registry import BACKBONES, HEADS, LOSSES, OBJECTIVES
from gigakit.ssl.objectives.embedded_images import (
    Feature,
    Mode,
    built_preprocessor,
    check_feature,
    embedded,
    one_dict_an_image,
)

_VIEWS = 2


@OBJECTIVES.register_module()
class ContrastiveLearning(BaseModel):
    """Bring the projections of two views of an image together, and apart from other images'.

    The first two global crops are the views; further ones and local crops are left out.

    Args:
        encoder: config from BACKBONES of a VisionTransformer without mask token.
        projector: config from HEADS; its input width comes from here.
        loss: config from LOSSES, such as ``SimClrLoss``; its ``gather`` widens the comparison to
            the images of all processes.
        feature: what is projected, and what ``predict`` gives of an image: ``cls`` or the ``mean``
            of its patches.
        data_preprocessor: config from OBJECTIVES, which makes normalised floats of the batch.

    Raises:
        ConfigError: an unknown feature, or an encoder with a mask token.

    Source: SimCLR (Chen et al. 2020), section 2.1.
    """

    def __init__(
        self,
        *,
        encoder: dict[str, Any],
        projector: dict[str, Any] | None = None,
        loss: dict[str, Any] | None = None,
        feature: Feature = "cls",
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(built_preprocessor(data_preprocessor))
        check_feature(feature)
        self.feature = feature
        self.encoder: VisionTransformer = BACKBONES.build(encoder)
        if self.encoder.mask_token is not None:
            raise ConfigError(
                "the encoder has a mask token that nothing here trains",
                where="model.encoder",
                fix="set maskable=False",
            )
        self.projector: nn.Module = HEADS.build(
            {"input_dim": self.encoder.width, **(projector or {"type": "ProjectionMlp"})}
        )
        self.loss: nn.Module = LOSSES.build(loss or {"type": "SimClrLoss"})

    def forward(  # type: ignore[override]  # mmengine passes a dict batch by keyword
        self,
        global_crops: Tensor | None = None,
        images: Tensor | None = None,
        mode: Mode = "tensor",
        **entries: Any,
    ) -> Tensor | dict[str, Tensor] | list[dict[str, Any]]:
        """Compare views, or embed whole images.

        Args:
            global_crops: ``(2 or more, B, 3, S, S)`` normalised.
            images: ``(B, 3, S, S)`` normalised, for ``predict``.
            mode: ``loss`` returns ``{"loss": ()}``, ``tensor`` the projections ``(2, B, ...)``,
                ``predict`` one dict an image with ``features`` ``(D,)`` and the batch's entries.
            entries: what else a batch has, such as labels.

        Raises:
            ConfigError: fewer than two views, or no images.
        """
        if mode == "predict":
            if images is None:
                raise ConfigError("a batch needs images", where="ContrastiveLearning")
            return one_dict_an_image(self.embed(images), entries)
        views = 0 if global_crops is None else len(global_crops)
        if global_crops is None or views < _VIEWS:
            raise ConfigError(
                f"got {views} global crops",
                where="ContrastiveLearning",
                fix="give two views of each image",
            )
        features = self.embed(global_crops[:_VIEWS].flatten(0, 1))
        projected: Tensor = self.projector(features).unflatten(0, (_VIEWS, -1))
        if mode == "tensor":
            return projected
        return {"loss": self.loss(projected[0], projected[1])}

    def embed(self, images: Tensor) -> Tensor:
        """Return features ``(n, D)`` of images ``(n, 3, S, S)``, normalised."""
        return embedded(self.encoder, images, self.feature)

    def health(self, global_crops: Tensor, **_others: Any) -> dict[str, Tensor]:
        """Return the features ``(B, D)`` of the first views: two views may well be alike."""
        return {"features": self.embed(global_crops[0])}
