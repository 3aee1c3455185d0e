"""Prediction of the texture of patches: pretraining of a tile encoder on few tiles.

Shapes: B images, N = V B rows of all V views, P patches, D width, K numbers a patch.
"""

from __future__ import annotations

from typing import Any

from mmengine.model import BaseModel
from torch import Tensor, nn

from gigakit.core.errors import ConfigError
from gigakit.nn.backbones.vit import VisionTransformer
from gigakit.registry import BACKBONES, HEADS, LOSSES, OBJECTIVES
from gigakit.ssl.denormalise import pixel_values
from gigakit.ssl.losses.local_pattern_loss import LocalPatternLoss
from gigakit.ssl.objectives.embedded_images import (
    Feature,
    Mode,
    built_preprocessor,
    check_feature,
    embedded,
    one_dict_an_image,
)


@OBJECTIVES.register_module()
class PatternPrediction(BaseModel):
    """Predict from each patch's token how often which local pattern occurs in the patch.

    The patterns are computed of what the encoder sees, colours changed and all. Where a batch has
    masks, these patches are hidden from the encoder, and their texture must follow from what is
    around; every patch is predicted, hidden or not.

    Args:
        encoder: config from BACKBONES of a VisionTransformer; ``maskable=True`` for masks.
        head: config from HEADS of the patches' tokens; its sizes come from here.
        loss: config from LOSSES of a loss with ``outputs`` that takes predictions and pixels.
        feature: what ``predict`` gives of an image, ``cls`` or the ``mean`` of its patches.
        data_preprocessor: config from OBJECTIVES, which makes normalised floats of the batch.

    Raises:
        ConfigError: an unknown feature, or a preprocessor that does not tell how it normalises.

    Source: Wei et al. 2022, "Masked feature prediction for self-supervised visual pre-training".
    Differs: patterns for gradients' histograms, and visible patches count too.
    """

    def __init__(
        self,
        *,
        encoder: dict[str, Any],
        head: dict[str, Any] | None = None,
        loss: dict[str, Any] | None = None,
        feature: Feature = "cls",
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(built_preprocessor(data_preprocessor))
        check_feature(feature)
        if not hasattr(self.data_preprocessor, "std"):
            raise ConfigError(
                "does not tell its mean and std, which lead back to pixels",
                where="model.data_preprocessor",
                fix="take dict(type='TileViews')",
            )
        self.feature = feature
        self.encoder: VisionTransformer = BACKBONES.build(encoder)
        self.loss: LocalPatternLoss = LOSSES.build(loss or {"type": "LocalPatternLoss"})
        self.head: nn.Module = HEADS.build(
            {
                "input_dim": self.encoder.width,
                "output_dim": self.loss.outputs,
                **(head or {"type": "LinearHead"}),
            }
        )

    def forward(  # type: ignore[override]  # mmengine passes a dict batch by keyword
        self,
        global_crops: Tensor | None = None,
        masks: Tensor | None = None,
        images: Tensor | None = None,
        mode: Mode = "tensor",
        **entries: Any,
    ) -> Tensor | dict[str, Tensor] | list[dict[str, Any]]:
        """Predict the texture of patches, or embed whole images.

        Args:
            global_crops: ``(V, B, 3, S, S)`` normalised.
            masks: ``(N, P)`` bool, True = hidden; row ``view * B + image``.
            images: ``(B, 3, S, S)`` normalised, for ``predict``.
            mode: ``loss`` returns ``{"loss": ()}``, ``tensor`` the predictions ``(N, P, K)``,
                ``predict`` one dict an image with ``features`` ``(D,)`` and the batch's entries.
            entries: what else a batch has, such as labels.

        Raises:
            ConfigError: a batch without crops or images, or masks for an encoder that takes none.
        """
        if mode == "predict":
            return one_dict_an_image(self.embed(_given(images, "images")), entries)
        rows = _given(global_crops, "global_crops").flatten(0, 1)
        (seen,) = self.encoder.forward_views([rows], [masks])
        predictions: Tensor = self.head(seen.patches.flatten(0, 1)).unflatten(0, (len(rows), -1))
        if mode == "tensor":
            return predictions
        loss = self.loss(predictions, pixel_values(rows, self.data_preprocessor))
        if masks is None and self.encoder.mask_token is not None:
            # a parameter without gradient would keep other processes waiting
            loss = loss + 0.0 * self.encoder.mask_token.sum()
        return {"loss": loss}

    def embed(self, images: Tensor) -> Tensor:
        """Return features ``(n, D)`` of whole images ``(n, 3, S, S)``, normalised."""
        return embedded(self.encoder, images, self.feature)

    def health(self, global_crops: Tensor, **_others: Any) -> dict[str, Tensor]:
        """Return the features of all crops ``(n, D)``, nothing of them hidden."""
        return {"features": self.embed(global_crops.flatten(0, 1))}


def _given(images: Tensor | None, name: str) -> Tensor:
    if images is None:
        raise ConfigError(f"a batch needs {name}", where="PatternPrediction")
    return images
