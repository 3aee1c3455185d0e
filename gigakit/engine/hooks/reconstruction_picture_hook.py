"""A picture of what the masked autoencoder makes of a slide, in TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
        self._drawn: set[str] = set()

    def before_val_epoch(self, runner: Runner) -> None:
        """Start counting anew."""
        self._drawn = set()

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[dict[str, Any]] | None = None,
    ) -> None:
        """Draw the predictions of this batch while pictures are wanted."""
        for sample in outputs or ():
            if len(self._drawn) >= self.slides or sample["slide_id"] in self._drawn:
                continue
            arrays = {key: sample[key].float().cpu().numpy() for key in ("features", "prediction")}
            picture = reconstruction_picture(
                arrays["features"],
                arrays["prediction"],
                sample["token_mask"].cpu().numpy(),
                sample["grid"].cpu().numpy(),
            )
            self._drawn.add(sample["slide_id"])
            tag = f"slide/reconstruction/{sample['slide_id']}"
            runner.visualizer.add_image(tag, picture, step=runner.iter)
