"""The cohort's overview pictures, in TensorBoard."""

from __future__ import annotations

from pathlib import Path

import cv2
from mmengine.hooks import Hook
from mmengine.runner import Runner

from gigakit.registry import HOOKS


@HOOKS.register_module()
class OverviewPictureHook(Hook):
    """At the start of a run, show the first slides' tissue outline and kept tiles.

    Args:
        folder: folder of overview pictures; ``None`` in a recipe takes the preparation's, and a run
            on ready features has none.
        slides: how many to show.
    """

    priority = "LOW"

    def __init__(self, *, folder: str | None = None, slides: int = 4) -> None:
        self.folder = folder
        self.slides = slides

    def before_train(self, runner: Runner) -> None:
        """Add the pictures at step 0; a resumed run has them."""
        if self.folder is None or runner.iter:
            return
        for file in sorted(Path(self.folder).glob("*.jpg"))[: self.slides]:
            picture = cv2.imread(str(file))
            if picture is not None:
                rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
                runner.visualizer.add_image(f"slide/overview/{file.stem}", rgb, step=0)
