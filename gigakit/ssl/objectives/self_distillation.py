"""Self-distillation of views of tiles: the tile encoder's pretraining.

Shapes: B tiles of V = 2 global and L local crops, N = V B rows crop by crop, P patches of a global
crop, M masked patches of all rows, D width, K prototypes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Literal

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from gigakit.core.errors import ConfigError
from gigakit.registry import BACKBONES, HEADS, LOSSES, OBJECTIVES, TARGETS
from gigakit.ssl.distillation import DistillationLoss, DistillationStep, Part
from gigakit.ssl.objectives.embedded_images import one_dict_an_image
from gigakit.ssl.ranks import summed
from gigakit.ssl.teacher import make_teacher, update_teacher

LOGGER = logging.getLogger(__name__)

Mode = Literal["tensor", "loss", "predict"]
_GLOBAL_CROPS = 2


class Network(nn.Module):
    """What student and teacher have alike: an encoder, a head, perhaps a head for patches."""

    def __init__(self, encoder: nn.Module, head: nn.Module, patch_head: nn.Module | None) -> None:
        super().__init__()
        # Any: what an encoder is called with beside forward is its own
        self.encoder: Any = encoder
        self.head: Any = head
        if patch_head is not None:
            self.patch_head: Any = patch_head

    def logits(self, cls: Tensor | None, patches: Tensor | None) -> list[Tensor | None]:
        """Return logits of class tokens ``(R, D)`` and of patches ``(M, D)``.

        A shared head takes both in one call.
        """
        if cls is None or patches is None or hasattr(self, "patch_head"):
            of_patches = getattr(self, "patch_head", self.head)
            return [
                None if cls is None else self.head(cls),
                None if patches is None else of_patches(patches),
            ]
        both: Tensor = self.head(torch.cat([cls, patches]))
        return [both[: len(cls)], both[len(cls) :]]


@OBJECTIVES.register_module()
class SelfDistillation(BaseModel):
    """A student learns to predict, from views of a tile, what its slow average sees in others.

    The teacher sees the global crops whole. The student sees them with some patches masked, and the
    local crops. DINO, iBOT, KoLeo and others are losses in a list, each with its weight; logged are
    their values times their weights, whose sum is what is optimised. After each optimiser step the
    teacher moves towards the student.

    Args:
        encoder: config from BACKBONES; it learns a mask token unless it says ``maskable=False``.
        head: config from HEADS of class tokens, and of masked patches without a ``patch_head``.
        losses: configs from LOSSES.
        targets: config from TARGETS, how the teacher's logits become probabilities; class tokens
            and patches each have their own. Default ``Centering``.
        patch_head: config from HEADS of masked patches alone.
        momentum: of the teacher; a schedule sets it, DINOv2's goes from 0.992 to 1.
        teacher_temperature: a schedule sets it, DINOv2's goes from 0.04 to 0.07.
        patch_teacher_temperature: of patches; ``None`` takes the same.
        data_preprocessor: config, such as ``TileViews``.

    Raises:
        ConfigError: no loss, or a head for patches that no loss uses.

    Source: DINO (Caron et al. 2021); iBOT (Zhou et al. 2022); DINOv2 (Oquab et al. 2024), section
        4; Prov-GigaPath, Methods, tile-level pretraining.
    Differs: DINOv2 displays half of what it optimises of KoLeo and iBOT.
    """

    def __init__(
        self,
        *,
        encoder: dict[str, Any],
        head: dict[str, Any],
        losses: Sequence[dict[str, Any]],
        targets: dict[str, Any] | None = None,
        patch_head: dict[str, Any] | None = None,
        momentum: float = 0.992,
        teacher_temperature: float = 0.04,
        patch_teacher_temperature: float | None = None,
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        # mmengine looks for preprocessors among its own alone
        super().__init__(OBJECTIVES.build(data_preprocessor) if data_preprocessor else None)
        self.losses: Sequence[DistillationLoss] = nn.ModuleList(  # type: ignore[assignment]
            LOSSES.build(dict(loss)) for loss in losses
        )
        uses = {part for loss in self.losses for part in loss.uses}
        if not losses:
            raise ConfigError("there is no loss", where="model.losses", fix="add a DinoLoss")
        if patch_head is not None and "patches" not in uses:
            raise ConfigError(
                "no loss uses it", where="model.patch_head", fix="add an IbotLoss, or take it out"
            )
        self.momentum = momentum
        self.teacher_temperature = teacher_temperature
        self.patch_teacher_temperature = patch_teacher_temperature
        built = BACKBONES.build({"maskable": True, **encoder})
        self.student = Network(
            built,
            HEADS.build({"input_dim": built.width, **head}),
            HEADS.build({"input_dim": built.width, **patch_head}) if patch_head else None,
        )
        self.teacher = make_teacher(self.student)
        widths: dict[Part, int] = {"cls": self.student.head.prototypes}
        widths["patches"] = getattr(self.student, "patch_head", self.student.head).prototypes
        self.targets = nn.ModuleDict(
            {
                part: TARGETS.build({"prototypes": widths[part], **(targets or _CENTERING)})
                for part in widths
                if part in uses
            }
        )
        self._told_of_few_rows = False

    def train(self, mode: bool = True) -> SelfDistillation:
        """Train the student; the teacher drops nothing."""
        super().train(mode)
        self.teacher.eval()
        return self

    def encoder_parts(self) -> tuple[str, ...]:
        """Name the encoders that a published encoder's file fills at the start."""
        return ("student.encoder", "teacher.encoder")

    def follow_student(self) -> None:
        """Move the teacher towards the student, after an optimiser step."""
        update_teacher(self.teacher, self.student, self.momentum)

    def forward(  # type: ignore[override]  # mmengine passes a dict batch by keyword
        self,
        global_crops: Tensor | None = None,
        local_crops: Tensor | None = None,
        masks: Tensor | None = None,
        mask_indices: Tensor | None = None,
        mask_weights: Tensor | None = None,
        images: Tensor | None = None,
        mode: Mode = "tensor",
        **entries: Any,
    ) -> Tensor | dict[str, Tensor] | list[dict[str, Any]]:
        """Compute the losses of views, or the teacher's embeddings of whole tiles.

        Args:
            global_crops: ``(2, B, 3, S, S)``, normalised.
            local_crops: ``(L, B, 3, s, s)``; L may be 0.
            masks: ``(N, P)`` bool, True = masked out.
            mask_indices: ``(M,)`` their places in ``(N P,)``.
            mask_weights: ``(M,)``, 1 over the masked patches of its row.
            images: ``(B, 3, S, S)``, normalised, for ``predict`` and ``tensor``.
            mode: ``loss`` returns a value for each loss; ``predict`` one dict a tile with
                ``features`` ``(D,)`` and the entries handed in; ``tensor`` the features ``(B, D)``.
            entries: what a batch holds besides, such as labels.

        Raises:
            ConfigError: a loss needs masks that the batch has not, or more tiles than it has.
        """
        if mode == "loss":
            if global_crops is None or local_crops is None:
                raise ConfigError(
                    "a batch without crops", where="train_dataloader", fix="use collate_views"
                )
            return self._loss(global_crops, local_crops, masks, mask_indices, mask_weights)
        if images is None:
            raise ConfigError(
                "a batch without images", where="val_dataloader", fix="use LabelledTiles"
            )
        features: Tensor = self.teacher.encoder(images)
        return features if mode == "tensor" else one_dict_an_image(features, entries)

    @torch.no_grad()
    def patch_features(self, images: Tensor) -> Tensor:
        """Return the teacher's patch tokens ``(B, P, D)`` of normalised images."""
        patches: Tensor = self.teacher.encoder.forward_views([images], [None])[0].patches
        return patches

    def health(self, global_crops: Tensor, **_others: Any) -> dict[str, Tensor]:
        """Return the teacher's class tokens of the first crops, and its sharpened targets.

        Targets are centered by this batch of all processes, which all call it: looking must not
        move the running center.
        """
        cls = self.teacher.encoder(global_crops[0])
        shown = {"features": cls}
        if "cls" in self.targets:
            logits = self.teacher.head(cls).float()
            told = summed(torch.cat([logits.sum(dim=0), logits.new_tensor([len(logits)])]))
            centered = (logits - told[:-1] / told[-1]) / self.teacher_temperature
            shown["teacher_probs"] = centered.softmax(dim=-1)
        return shown

    def _loss(
        self,
        global_crops: Tensor,
        local_crops: Tensor,
        masks: Tensor | None,
        mask_indices: Tensor | None,
        mask_weights: Tensor | None,
    ) -> dict[str, Tensor]:
        self._check(global_crops, mask_indices)
        # M rows travel through the heads, where any loss asks for them
        indices = mask_indices if "patches" in self.targets else None
        crops = global_crops.flatten(0, 1)
        targets = self._teach(crops, indices)
        views, images = [crops], global_crops.shape[1]
        if local_crops.numel():
            views.append(local_crops.flatten(0, 1))
        seen = self.student.encoder.forward_views(views, [masks, *[None] * (len(views) - 1)])
        cls = torch.cat([view.cls for view in seen])
        if masks is None and self.student.encoder.mask_token is not None:
            # a parameter without gradient would keep other processes waiting
            cls = cls + 0.0 * self.student.encoder.mask_token.sum()
        patches = seen[0].patches
        masked = None if indices is None else patches.flatten(0, 1)[indices]
        logits, patch_logits = self.student.logits(cls if "cls" in self.targets else None, masked)
        step = DistillationStep(
            **_split("cls", "local_cls", cls, images),
            patches=patches,
            teacher_patches=targets.pop("teacher_patches"),
            **(_split("logits", "local_logits", logits, images) if logits is not None else {}),
            patch_logits=patch_logits,
            patch_weights=mask_weights,
            **targets,
        )
        return {
            f"loss_{name}": loss.weight * value
            for loss in self.losses
            for name, value in loss.of(step).items()
        }

    @torch.no_grad()
    def _teach(self, crops: Tensor, indices: Tensor | None) -> dict[str, Tensor]:
        seen = self.teacher.encoder.forward_views([crops], [None])[0]
        masked = None if indices is None else seen.patches.flatten(0, 1)[indices]
        logits, patch_logits = self.teacher.logits(
            seen.cls if "cls" in self.targets else None, masked
        )
        found: dict[str, Tensor] = {"teacher_patches": seen.patches}
        if logits is not None:
            targets = self.targets["cls"](logits, self.teacher_temperature)
            found["targets"] = targets.view(_GLOBAL_CROPS, -1, targets.shape[-1])
        if patch_logits is not None:
            temperature = self.patch_teacher_temperature or self.teacher_temperature
            found["patch_targets"] = self.targets["patches"](patch_logits, temperature)
        return found

    def _check(self, global_crops: Tensor, mask_indices: Tensor | None) -> None:
        crops, images = global_crops.shape[:2]
        if crops != _GLOBAL_CROPS:
            raise ConfigError(
                f"got {crops} global crops", where="train_dataloader.dataset.views", fix="give 2"
            )
        if "patches" in self.targets and mask_indices is None:
            raise ConfigError(
                "a loss of masked patches needs masks",
                where="train_dataloader.collate_fn.masking",
                fix="add dict(type='BlockMasks'), or take IbotLoss out",
            )
        least = max((getattr(loss, "least_images", 1) for loss in self.losses), default=1)
        if images < least:
            raise ConfigError(
                f"a loss compares {least} tiles or more, a batch has {images}",
                where="train_dataloader.batch_size",
                fix="raise it, or take KoLeoLoss out",
            )
        least_rows = max(
            (getattr(kind, "least_rows", 0) for kind in self.targets.values()), default=0
        )
        if crops * images < least_rows and not self._told_of_few_rows:
            self._told_of_few_rows = True
            LOGGER.warning(
                "Sinkhorn shares %d rows among %d prototypes: targets are nearly uniform; take a "
                "larger batch, fewer prototypes or Centering",
                crops * images,
                self.student.head.prototypes,
            )


_CENTERING = {"type": "Centering"}


def _split(one: str, other: str, rows: Tensor, images: int) -> dict[str, Tensor]:
    """Part rows of all crops, crop by crop, into those of global and of local ones."""
    crops = rows.view(-1, images, rows.shape[-1])
    return {one: crops[:_GLOBAL_CROPS], other: crops[_GLOBAL_CROPS:]}
