"""What ``gigakit new`` can make: templates by kind, and where a recipe has a place for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gigakit.core.kinds import KINDS, Kind


@dataclass(frozen=True)
class Place:
    """Where a recipe tries a component beside another one.

    Args:
        recipe: a small recipe.
        key: dotted key; ``None`` where a cell sets several.
        axis: name of the ablation's axis.
        beside: label and value of the cell that it is compared with.
        listed: the key holds a list, and the component is its only item.
        also: what else its cell sets, by dotted key.
    """

    recipe: str
    key: str | None
    axis: str
    beside: tuple[str, Any]
    listed: bool = False
    also: tuple[tuple[str, Any], ...] = ()

    def value(self, name: str) -> Any:
        """Return what its cell puts there."""
        component = {"type": name}
        if self.key is None:
            kept = {"_keep_": ["encoder", "data_preprocessor"], **component}
            return {"model": kept, **dict(self.also)}
        return [component] if self.listed else component


@dataclass(frozen=True)
class Makeable:
    """One kind that a component can be made of.

    Args:
        registry: the registry's name.
        place: where a recipe tries it.
    """

    registry: str
    place: Place

    @property
    def kind(self) -> Kind:
        """The registry's kind, which tells the folder."""
        return KINDS[self.registry]


def _slide(registry: str, key: str, axis: str, label: str, beside: Any) -> Makeable:
    value = {"type": beside} if isinstance(beside, str) else beside
    listed = isinstance(beside, list)
    return Makeable(registry, Place("tiny/slide", key, axis, (label, value), listed))


def _tile(registry: str, key: str, axis: str, label: str, beside: Any) -> Makeable:
    value = {"type": beside} if isinstance(beside, str) else beside
    listed = isinstance(beside, list)
    return Makeable(registry, Place("tiny/tile", key, axis, (label, value), listed))


_AUGMENTATIONS = "train_dataloader.dataset.augmentations"
# an objective of one network has no masks of the batch, no teacher's schedules, and two views
_ALONE: tuple[tuple[str, Any], ...] = (
    ("train_dataloader.collate_fn.masking", None),
    ("train_dataloader.dataset.views.local_count", 0),
    ("custom_hooks", []),
    ("optim_wrapper.clip_grad", {"_delete_": True, "max_norm": 3.0}),
    ("optim_wrapper.paramwise_cfg.layer_decay_in", ["encoder"]),
)

MAKEABLE: dict[str, Makeable] = {
    "attention": _slide(
        "ATTENTIONS", "model.encoder.attention", "attention", "dilated", "DilatedAttention"
    ),
    "position": _slide(
        "POSITIONS", "model.encoder.position", "position", "published", "GridSinCos2d"
    ),
    "loss": _slide("LOSSES", "model.loss", "loss", "squared", "MaskedEmbeddingLoss"),
    "augmentation": _slide(
        "AUGMENTATIONS", f"{_AUGMENTATIONS}.1", "augmentation", "flip", "FlipGrid"
    ),
    "masking": _slide(
        "MASKINGS", "val_dataloader.dataset.masking", "masking", "random", "RandomTokens"
    ),
    "tiler": _slide("TILERS", "preparation.tiler", "tiler", "grid", "GridTiler"),
    "segmenter": _slide(
        "SEGMENTERS", "preparation.segmenter", "segmenter", "otsu", "OtsuSegmenter"
    ),
    "quality": _slide("QUALITIES", "preparation.quality", "quality", "none", []),
    "metric": _slide("METRICS", "val_evaluator", "metric", "published", "MaskedReconstruction"),
    "hook": _slide("HOOKS", "custom_hooks", "hook", "none", []),
    "photometric": _tile(
        "AUGMENTATIONS", "model.data_preprocessor.photometric", "photometric", "none", []
    ),
    "target": _tile("TARGETS", "model.targets", "targets", "centering", "Centering"),
    "objective": Makeable(
        "OBJECTIVES",
        Place("tiny/tile", None, "objective", ("dino_ibot_koleo", {}), also=_ALONE),
    ),
}
