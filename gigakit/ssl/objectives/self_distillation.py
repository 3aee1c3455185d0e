"""Self-distillation of views of tiles: the tile encoder's pretraining.

Shapes: B tiles of V = 2 global and L local crops, N = V B rows crop by crop, P patches of a global
crop, M masked patches of all rows, D width, K prototypes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from gigakit.core.errors import ConfigError
from gigakit.registry import BACKBONES, HEADS, LOSSES, OBJECTIVES, TARGETS
from gigakit.ssl.distillation import DistillationLoss, DistillationStep, MaskedPatches
from gigakit.ssl.distillation_checks import (
    check_crops,
    check_images,
    check_masks,
    check_population,
    tell_of_few_rows,
)
from gigakit.ssl.objectives.embedded_images import Mode, built_preprocessor, one_dict_an_image
from gigakit.ssl.projected_encoder import ProjectedEncoder
from gigakit.ssl.ranks import summed
from gigakit.ssl.teacher import make_teacher, update_teacher

_GLOBAL_CROPS = 2


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
        patch_population: patches whose mean the center of patch targets follows: the ``masked``
            ones (DINOv2), or ``all``, for which the teacher's head sees every patch (iBOT).
        data_preprocessor: config, such as ``TileViews``.

    Raises:
        ConfigError: no loss, a head for patches that no loss uses, or a population for targets
            that follow none.

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
        patch_population: Literal["masked", "all"] = "masked",
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(built_preprocessor(data_preprocessor))
        self.losses: Sequence[DistillationLoss] = nn.ModuleList(  # type: ignore[assignment]
            LOSSES.build(dict(loss)) for loss in losses
        )
        uses = {part for loss in self.losses for part in loss.uses}
        self._reads_all = "tokens" in uses
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
        self.student = ProjectedEncoder(
            built,
            HEADS.build({"input_dim": built.width, **head}),
            HEADS.build({"input_dim": built.width, **patch_head}) if patch_head else None,
        )
        self.teacher = make_teacher(self.student)
        widths = self.student.prototypes()
        self.targets = nn.ModuleDict(
            {
                part: TARGETS.build({"prototypes": widths[part], **(targets or _CENTERING)})
                for part in widths
                if part in uses
            }
        )
        self._patch_population = patch_population
        if "patches" in self.targets:
            check_population(patch_population, self.targets["patches"])
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
        mask_count: Tensor | None = None,
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
            mask_count: how many of the M are masked patches, where the rest fills up.
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
            masked = MaskedPatches(masks, mask_indices, mask_weights, mask_count)
            return self._loss(global_crops, local_crops, masked)
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
        self, global_crops: Tensor, local_crops: Tensor, masked: MaskedPatches
    ) -> dict[str, Tensor]:
        self._check(global_crops, masked)
        nothing = torch.empty(0, dtype=torch.long, device=global_crops.device)
        indices = masked.indices if "patches" in self.targets else None
        read = nothing if indices is None else indices
        crops = global_crops.flatten(0, 1)
        targets = self._teach(crops, read, masked.count)
        views, images = [crops], global_crops.shape[1]
        if local_crops.numel():
            views.append(local_crops.flatten(0, 1))
        seen = self.student.encoder.forward_views(
            views,
            [masked.masks, None][: len(views)],
            [None if self._reads_all else read, nothing][: len(views)],
        )
        cls = torch.cat([view.cls for view in seen])
        if masked.masks is None and self.student.encoder.mask_token is not None:
            # a parameter without gradient would keep other processes waiting
            cls = cls + 0.0 * self.student.encoder.mask_token.sum()
        patches = seen[0].patches
        # M rows travel through the heads
        hidden = patches.flatten(0, 1)[read] if self._reads_all else patches
        logits, patch_logits = self.student.logits(*self._with_targets(cls, hidden))
        step = DistillationStep(
            **_split("cls", "local_cls", cls, images),
            patches=patches if self._reads_all else None,
            **(_split("logits", "local_logits", logits, images) if logits is not None else {}),
            patch_logits=patch_logits,
            patch_weights=masked.weights,
            **targets,
        )
        return {
            f"loss_{name}": loss.weight * value
            for loss in self.losses
            for name, value in loss.of(step).items()
        }

    @torch.no_grad()
    def _teach(self, crops: Tensor, read: Tensor, count: Tensor | None) -> dict[str, Tensor]:
        everywhere = self._patch_population == "all"
        whole = self._reads_all or everywhere
        seen = self.teacher.encoder.forward_views([crops], [None], [None if whole else read])[0]
        patches = seen.patches.flatten(0, 1) if whole else seen.patches
        if whole and not everywhere:
            patches = patches[read]
        logits, patch_logits = self.teacher.logits(*self._with_targets(seen.cls, patches))
        found = {"teacher_patches": seen.patches} if self._reads_all else {}
        if logits is not None:
            targets = self.targets["cls"](logits, self.teacher_temperature)
            found["targets"] = targets.view(_GLOBAL_CROPS, -1, targets.shape[-1])
        if patch_logits is not None:
            temperature = self.patch_teacher_temperature or self.teacher_temperature
            found["patch_targets"] = (
                self.targets["patches"](patch_logits[read], temperature, population=patch_logits)
                if everywhere
                else self.targets["patches"](patch_logits, temperature, count=count)
            )
        return found

    def _with_targets(self, cls: Tensor, patches: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Return which of them have targets, the others as ``None``."""
        return (
            cls if "cls" in self.targets else None,
            patches if "patches" in self.targets else None,
        )

    def _check(self, global_crops: Tensor, masked: MaskedPatches) -> None:
        crops, images = global_crops.shape[:2]
        check_crops(crops, _GLOBAL_CROPS)
        check_masks(masked, needed="patches" in self.targets)
        check_images(images, self.losses)
        if not self._told_of_few_rows:
            self._told_of_few_rows = tell_of_few_rows(
                crops * images, self.targets.values(), self.student.head.prototypes
            )


_CENTERING = {"type": "Centering"}


def _split(one: str, other: str, rows: Tensor, images: int) -> dict[str, Tensor]:
    """Part rows of all crops, crop by crop, into those of global and of local ones."""
    crops = rows.view(-1, images, rows.shape[-1])
    # slices would each bring a gradient of the whole
    first, rest = crops.split_with_sizes([_GLOBAL_CROPS, len(crops) - _GLOBAL_CROPS])
    return {one: first, other: rest}
