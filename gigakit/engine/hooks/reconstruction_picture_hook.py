"""A picture of what the masked autoencoder makes of a slide, in TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner

from gigakit.registry import HOOKS
from gigakit.tasks.pictures import reconstruction_picture


@HOOKS.register_module()
class ReconstructionPictureHook(Hook):
    """At each validation, draw input, masked input and prediction of some slides on the tile grid.

    Args:
        slides: how many slides to draw, the first ones of the validation set, one view each.
    """

    priority = "LOW"

    def __init__(self, *, slides: int = 1) -> None:
        self.slides = slides
        self._pictures: dict[str, np.ndarray] = {}

    def before_val_epoch(self, runner: Runner) -> None:
        """Start anew."""
        self._pictures = {}

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[dict[str, Any]] | None = None,
    ) -> None:
        """Draw the predictions of this batch while pictures are wanted."""
        for sample in outputs or ():
            if len(self._pictures) >= self.slides or sample["slide_id"] in self._pictures:
                continue
            arrays = {key: sample[key].float().cpu().numpy() for key in ("features", "prediction")}
            self._pictures[sample["slide_id"]] = reconstruction_picture(
                arrays["features"],
                arrays["prediction"],
                sample["token_mask"].cpu().numpy(),
                sample["grid"].cpu().numpy(),
            )

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Show the pictures; a validation that is cut short, and made again, shows none."""
        for slide_id, picture in self._pictures.items():
            tag = f"slide/reconstruction/{slide_id}"
            runner.visualizer.add_image(tag, picture, step=runner.iter)
