"""Slides as sequences of stored tile embeddings."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch.utils.data import Dataset

from gigakit.core.errors import ConfigError
from gigakit.core.seeding import fold_in, random_generator
from gigakit.data.feature_folder import FeatureFolder
from gigakit.data.slide_sample import Masking, SlideAugmentation, SlideSample
from gigakit.registry import AUGMENTATIONS, DATASETS, MASKINGS

# words that keep the uses of one draw's seed apart
_AUGMENT, _MASK, _STEP, _ORDER = 0, 1, 2, 3


@DATASETS.register_module()
class SlideFeatures(Dataset[dict[str, Any]]):
    """The feature files of a cohort; one item is one augmented view of one slide.

    Everything random about a view follows from ``(seed, draw)``, so an item is the same in whatever
    worker, batch or resumed run it is read.

    Args:
        root: folder of ``<slide_id>.h5`` or ``.pt`` feature files, see
            :class:`gigakit.data.feature_folder.FeatureFolder`; ``None`` in a recipe means the
            folder that its preparation writes.
        slide_ids: the slides to use; ``None`` takes every file of the folder, by name.
        coords: folder of HDF5 files whose coordinates count, for feature files without.
        step: side of a tile in the unit of the coordinates, where the files do not tell it.
        views_per_slide: times an epoch visits each slide; 1 for a cohort, more for a single slide.
        augmentations: configs from AUGMENTATIONS, applied in order to the sequence.
        masking: config from MASKINGS that fixes each view's ``token_mask``; ``None`` leaves the
            choice to the objective.
        order: config from AUGMENTATIONS that serialises the tiles at last, such as ``TileOrder``;
            ``None`` keeps the order as stored. A ``masking`` hides the same tiles in any order. In
            a recipe validation data without one takes that of the training data.
        lengths: tiles of each slide in the order of ``slide_ids``; ``None`` reads them from the
            files when a sampler asks.
        seed: seed of augmentation, masking and of the ``seed`` handed to the objective.

    Raises:
        ConfigError: no folder, views_per_slide under 1, or a step that is not positive.
        StoreError: no feature file, or a missing one.
    """

    metainfo: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        *,
        root: str | None = None,
        slide_ids: Sequence[str] | None = None,
        coords: str | None = None,
        step: float | None = None,
        views_per_slide: int = 1,
        augmentations: Sequence[dict[str, Any]] = (),
        masking: dict[str, Any] | None = None,
        order: dict[str, Any] | None = None,
        lengths: Sequence[int] | None = None,
        seed: int = 0,
    ) -> None:
        if root is None:
            raise ConfigError(
                "no folder of feature files", where="SlideFeatures.root", fix="set it, or a cohort"
            )
        if views_per_slide < 1:
            raise ConfigError(
                f"got {views_per_slide}",
                where="SlideFeatures.views_per_slide",
                fix="give 1 or more",
            )
        self.folder = FeatureFolder(Path(root), coords=Path(coords) if coords else None, step=step)
        self.files = self.folder.select(slide_ids)
        self.views_per_slide = views_per_slide
        self.augmentations: list[SlideAugmentation] = [
            AUGMENTATIONS.build(dict(augmentation)) for augmentation in augmentations
        ]
        self.masking: Masking | None = MASKINGS.build(dict(masking)) if masking else None
        self.order: SlideAugmentation | None = AUGMENTATIONS.build(dict(order)) if order else None
        if lengths is not None and len(lengths) != len(self.files):
            raise ConfigError(
                f"{len(lengths)} lengths for {len(self.files)} slides",
                where="SlideFeatures.lengths",
                fix="give one for each slide, or none",
            )
        self._lengths = lengths
        self.seed = seed

    def __len__(self) -> int:
        return len(self.files) * self.views_per_slide

    @functools.cached_property
    def lengths(self) -> list[int]:
        """Tiles that each item has before augmentation, which can only make it shorter."""
        tiles = self._lengths
        if tiles is None:
            tiles = [self.folder.shape(file)[0] for file in self.files]
        return [*tiles] * self.views_per_slide

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        """Return one view.

        Args:
            key: ``(index, draw)`` from a resumable sampler, or an index that is its own draw.

        Returns:
            ``features`` (L, D) float32, ``grid`` (L, 2) float64, ``seed``, ``slide_id`` and, with a
            masking, ``token_mask`` (L,) bool.
        """
        index, draw = key if isinstance(key, tuple) else (key, key)
        file = self.files[index % len(self.files)]
        stored = self.folder.read(file)
        sample = SlideSample(stored.features, stored.grid)
        generator = random_generator(self.seed, _AUGMENT, draw)
        for augment in self.augmentations:
            sample = augment(sample, generator)
        if self.masking is not None:
            mask = self.masking(len(sample), random_generator(self.seed, _MASK, draw))
            sample = replace(sample, token_mask=mask)
        if self.order is not None:
            sample = self.order(sample, random_generator(self.seed, _ORDER, draw))
        item: dict[str, Any] = {
            "features": torch.from_numpy(sample.features),
            "grid": torch.from_numpy(sample.grid),
            "seed": fold_in(self.seed, _STEP, draw),
            "slide_id": stored.slide_id,
        }
        if sample.token_mask is not None:
            item["token_mask"] = torch.from_numpy(sample.token_mask)
        return item
