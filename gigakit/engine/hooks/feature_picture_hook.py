"""What the tile encoder's patch tokens tell apart, in TensorBoard."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook

from gigakit.core.errors import ConfigError
from gigakit.engine.run_precision import as_in_steps
from gigakit.registry import HOOKS
from gigakit.ssl.denormalise import pixels_of
from gigakit.ssl.patch_features import ShowsPatchFeatures
from gigakit.tasks.patch_maps import patch_picture


@HOOKS.register_module()
class FeaturePictureHook(Hook):
    """At each validation, colour the patches of some tiles by their principal components.

    The tiles are spread evenly over the validation set and are the same each time. Colours are of
    each checkpoint's own components, see :func:`~gigakit.tasks.patch_maps.patch_colours`: what
    parts from what can be compared over a run, a colour itself cannot.

    Args:
        tiles: how many to draw.

    Raises:
        ConfigError: the objective does not show its patch tokens.

    Cost: one forward pass of as many tiles and a D × D eigenvalue problem a validation.
    """

    priority = "LOW"

    def __init__(self, *, tiles: int = 6) -> None:
        if tiles < 1:
            raise ConfigError(
                f"got {tiles}", where="FeaturePictureHook.tiles", fix="give 1 or more"
            )
        self.tiles = tiles

    def before_train(self, runner: Any) -> None:
        """Refuse an objective without patch tokens."""
        if not isinstance(runner.objective, ShowsPatchFeatures):
            raise ConfigError(
                f"{runner.model_name} has no method patch_features()",
                where="FeaturePictureHook",
                fix="leave the hook out, or add the method",
            )

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Show the picture; a validation that is cut short, and made again, shows none."""
        dataset = runner.val_dataloader.dataset
        count = min(self.tiles, len(dataset))
        if not count:
            return
        chosen = np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist()
        images = torch.stack([torch.as_tensor(dataset[index]["images"]) for index in chosen])
        seen, patches = self._run(runner, images)
        runner.visualizer.add_image("tile/patches", patch_picture(seen, patches), step=runner.iter)

    @torch.no_grad()
    def _run(self, runner: Any, images: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        objective = runner.objective
        # the loop puts the model back into training mode before the next step
        runner.model.eval()
        ready = objective.data_preprocessor({"images": images}, False)["images"]
        with as_in_steps(runner):
            patches = objective.patch_features(ready)
        return pixels_of(ready, objective.data_preprocessor), patches.float().cpu().numpy()
